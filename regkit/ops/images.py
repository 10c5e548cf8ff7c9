"""The images of a release: found in what was built, matched with the platforms that were asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from regkit.errors import NotFound, ProtocolError
from regkit.oci.annotation import REF_NAME
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest
from regkit.oci.platform import Platform
from regkit.ops.tasks import each
from regkit.targets.layout import Layout
from regkit.targets.target import Target
from regkit.targets.verified import read_all

MAX_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Image:
    """One platform's image, as the index lists it, its manifest, and the attestations that belong to it."""

    descriptor: Descriptor
    manifest: Manifest
    attestations: tuple[tuple[Descriptor, Manifest], ...] = ()

    @property
    def platform(self) -> Platform:
        """The platform, with the variant that was asked for."""
        assert self.descriptor.platform is not None
        return self.descriptor.platform

    @property
    def entries(self) -> tuple[tuple[Descriptor, Manifest], ...]:
        """What it brings into an index: itself, then its attestations."""
        return ((self.descriptor, self.manifest), *self.attestations)


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be published: the images, and the layout that holds their blobs."""

    layout: Layout
    images: tuple[Image, ...]

    @classmethod
    def read(cls, root: Path, asked: Sequence[Platform]) -> Self:
        """Read the layout in `root`; raise UsageError where there is none, NotFound where it lacks a platform."""
        layout = Layout(root)
        return cls(layout, read_images(layout, layout.roots, asked))


def read_images(target: Target, roots: Iterable[Descriptor], asked: Sequence[Platform]) -> tuple[Image, ...]:
    """Read the images below `roots`, one for each platform asked, in that order; all of them where none is.

    The variants that were asked for are written. Raise NotFound where a platform is missing.
    """
    children = list(_flatten(target, roots, MAX_DEPTH))
    attestations: dict[Digest, list[tuple[Descriptor, Manifest]]] = {}
    images: dict[Platform, tuple[Descriptor, Manifest]] = {}
    for descriptor, manifest in children:
        owner = descriptor.attests
        if owner is not None:
            attestations.setdefault(owner, []).append((descriptor, manifest))
            continue
        platform = descriptor.platform or _platform_of(target, manifest)
        twin = images.setdefault(platform.normalized, (replace(descriptor, platform=platform), manifest))
        if twin[0].digest != descriptor.digest:
            raise ProtocolError(f"there are two images for {platform} in what is to be published")
    wanted = tuple(asked) or tuple(image[0].platform for image in images.values() if image[0].platform)
    return tuple(_pick(images, platform, attestations) for platform in wanted)


def _pick(
    images: Mapping[Platform, tuple[Descriptor, Manifest]],
    platform: Platform,
    attestations: Mapping[Digest, list[tuple[Descriptor, Manifest]]],
) -> Image:
    found = images.get(platform.normalized)
    if found is None:
        there = ", ".join(str(p) for p in images) or "none"
        raise NotFound(f"there is no image for {platform} in what is to be published", hint=f"there are: {there}")
    descriptor, manifest = found
    assert descriptor.platform is not None
    written = replace(descriptor, platform=replace(descriptor.platform, variant=platform.variant))
    return Image(written, manifest, tuple(attestations.get(descriptor.digest, ())))


def _flatten(target: Target, roots: Iterable[Descriptor], depth: int) -> Iterable[tuple[Descriptor, Manifest]]:
    """Walk indexes down to images; a name that only a layout gives is left behind."""
    if depth == 0:
        raise ProtocolError("indexes are nested too deep")
    found = tuple(roots)
    for root, manifest in zip(found, each(target.manifest, [root.digest for root in found]), strict=True):
        if manifest.is_index:
            yield from _flatten(target, manifest.manifests, depth - 1)
            continue
        annotations = {k: v for k, v in root.annotations.items() if k != REF_NAME}
        yield replace(root, media_type=manifest.media_type, annotations=annotations), manifest


def _platform_of(target: Target, manifest: Manifest) -> Platform:
    """Read the platform from an image's configuration (image-spec, config.md)."""
    if manifest.config is None:
        raise ProtocolError(f"the manifest {manifest.digest} has no configuration")
    try:
        document = json.loads(read_all(target.fetch(manifest.config), MAX_SIZE))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or "architecture" not in document or "os" not in document:
        raise ProtocolError(f"the configuration of {manifest.digest} doesn't tell its platform")
    return Platform.from_json(document)
