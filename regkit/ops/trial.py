"""Testing before the push: one command in the image of every platform, each to its end; a failure stops the publish."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from regkit.build.address import Address
from regkit.build.child import Group
from regkit.build.trial import Outcome, Trial, run
from regkit.errors import NotFound, RegkitError, UsageError, VerificationFailed
from regkit.events import StageStarted
from regkit.oci import layout, mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest, canonical_json
from regkit.oci.platform import Platform
from regkit.ops.entries import fits
from regkit.ops.images import Content, Image, Piece
from regkit.ops.tasks import each
from regkit.protocol.flow import Bytes, Source
from regkit.targets.file import write_atomically
from regkit.targets.layout import Layout
from regkit.targets.verified import read_all
from regkit.transport.session import Session


def chosen(images: Sequence[Image], platforms: Sequence[Platform]) -> list[Image]:
    """Give the images for `platforms`, all where none is named; raise UsageError for a platform that isn't built."""
    for platform in platforms:
        if not any(fits(platform, image.platform) for image in images):
            there = ", ".join(str(image.platform) for image in images)
            raise UsageError(f"there is no image for {platform} to be tested", hint=f"there are: {there}")
    return [image for image in images if not platforms or any(fits(asked, image.platform) for asked in platforms)]


def try_out(
    session: Session,
    content: Content,
    command: Sequence[str],
    platforms: Sequence[Platform],
    addresses: Mapping[Platform, Address],
    *,
    directory: Path,
    env: Mapping[str, str],
) -> None:
    """Run `command` in the images for `platforms`, or in all, each on the builder that `addresses` names for it.

    All run side by side and to their ends. An image in a layout is read there; of another place its content is brought
    into `directory` first, which is new. Raise VerificationFailed, naming every platform where the command failed.
    """
    images = chosen(content.images, platforms)
    count = len(images)
    plural = "s" if count != 1 else ""
    session.report(StageStarted("test", f"testing the image{plural} of {count} platform{plural}"))
    store = directory / "store"
    group = Group()

    def attempt(image: Image) -> Outcome | RegkitError:
        own = directory / image.platform.slug
        own.mkdir(parents=True)
        try:
            trial = Trial(tuple(command), image.platform, store, _bring(image.piece, store))
            return run(trial, _address(image.platform, addresses), own, session.report, env=env, group=group)
        except RegkitError as error:
            return error

    try:
        outcomes = each(attempt, images, max(1, count))
    finally:
        group.stop()
    _judge(outcomes)


def _address(platform: Platform, addresses: Mapping[Platform, Address]) -> Address:
    return next(address for asked, address in addresses.items() if fits(asked, platform))


def _judge(outcomes: Sequence[Outcome | RegkitError]) -> None:
    failed = [outcome for outcome in outcomes if isinstance(outcome, Outcome) and not outcome.passed]
    broken = [outcome for outcome in outcomes if isinstance(outcome, RegkitError)]
    if failed:
        others = "".join(f"; {error.message}" for error in broken)
        hints = dict.fromkeys(outcome.hint for outcome in failed if outcome.hint)
        raise VerificationFailed(
            f"the test failed for {', '.join(map(str, failed))}: nothing was pushed{others}",
            hint="; ".join(hints) or None,
        )
    if broken:
        raise broken[0]


def _bring(piece: Piece, store: Path) -> Digest:
    """See to it that an image is in `store`; give the digest of the manifest to run it by.

    It is the image's own, unless the image has triggers for those who build on it: they are no part of a test.
    """
    for blob in piece.manifest.blobs:
        _bring_blob(piece, blob, store)
    manifest = _without_triggers(piece, store) or piece.manifest
    _write(manifest.digest, Bytes(manifest.raw), store)
    return manifest.digest


def _bring_blob(piece: Piece, blob: Descriptor, store: Path) -> None:
    if not isinstance(piece.origin, Layout):
        _write(blob.digest, piece.origin.fetch(blob), store)
        return
    if not piece.origin.exists(blob):
        raise NotFound(f"{piece.origin.name} has no blob {blob.digest} of {blob.size} bytes")
    path = store / layout.blob_path(blob.digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # images share layers
        path.symlink_to((piece.origin.root / layout.blob_path(blob.digest)).absolute())


def _without_triggers(piece: Piece, store: Path) -> Manifest | None:
    """Write the image's configuration without `OnBuild`, and give a manifest with that; None where it has none."""
    config = piece.manifest.config
    if config is None or config.media_type not in mediatype.CONFIGS:
        return None
    try:
        document: Any = json.loads(read_all(piece.origin.fetch(config), MAX_SIZE))
    except (ValueError, RecursionError):
        return None
    inner = document.get("config") if isinstance(document, dict) else None
    if not isinstance(inner, dict) or not inner.get("OnBuild"):
        return None
    raw = canonical_json({**document, "config": {k: v for k, v in inner.items() if k != "OnBuild"}})
    described = Descriptor.of(config.media_type, raw)
    _write(described.digest, Bytes(raw), store)
    changed = {**piece.manifest.document, "config": described.to_json()}
    return Manifest(piece.manifest.media_type, canonical_json(changed))


def _write(digest: Digest, source: Source, store: Path) -> None:
    path = store / layout.blob_path(digest)
    if not path.exists():
        write_atomically(path, source)
