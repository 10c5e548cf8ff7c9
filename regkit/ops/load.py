"""Handing an image of a release to a local engine, for those who want to look at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from regkit.build.baseimages import suits
from regkit.build.engines import load as hand_over
from regkit.errors import UsageError
from regkit.events import Note, StageStarted
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.entries import fits
from regkit.ops.images import Image
from regkit.ops.tasks import each
from regkit.protocol.flow import Bytes
from regkit.targets.docker_archive import DockerArchive
from regkit.transport.session import Session


def choose(images: Sequence[Image], platform: Platform | None, own: Platform) -> Image:
    """Find the image for `platform`, or the one that runs best on a machine that is `own`; raise UsageError."""
    fitting = [
        image for image in images if (fits(platform, image.platform) if platform else suits(own, image.platform))
    ]
    if not fitting:
        there = ", ".join(str(image.platform) for image in images)
        hint = f"choose one with --load-platform: there are {there}"
        raise UsageError(f"none of the images is for {platform or f'this machine, {own}'}", hint=hint)
    return max(fitting, key=lambda image: image.platform.normalized.variant)


def load(
    session: Session, image: Image, name: Reference, engine: str, *, directory: Path, env: Mapping[str, str]
) -> None:
    """Write an image under `name`, which has a tag, to an archive in `directory`, and hand that to an engine.

    The digests stay, where the engine keeps digests. Raise RegkitError where it doesn't take it.
    """
    assert name.tag is not None
    session.report(StageStarted("load", f"loading {name} for {image.platform} into {engine}"))
    manifest, origin = image.piece.manifest, image.piece.origin
    archive = directory / "image.tar"
    with DockerArchive(archive, name.name, create=True) as target:
        each(lambda blob: target.push(blob, origin.fetch(blob)), manifest.blobs)
        target.push(manifest.descriptor, Bytes(manifest.raw), name.tag)
    hand_over(engine, archive, image.platform, env)
    session.report(Note(f"{engine} has {name} for {image.platform}"))
