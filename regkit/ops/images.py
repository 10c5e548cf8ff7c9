"""The images of a release: found in what is built already, matched with the platforms that were asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Self

from regkit.errors import ContentMismatch, NotFound, ProtocolError, UsageError
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.platform import Platform
from regkit.ops.composition import common_annotations
from regkit.ops.entries import fits, flatten
from regkit.ops.graph import Node, read_node
from regkit.ops.tasks import each
from regkit.targets.local import LocalTarget
from regkit.targets.location import Location
from regkit.targets.target import Target
from regkit.transport.session import Session


class Piece(NamedTuple):
    """A manifest, what an index says of it, and the target that holds it and its blobs."""

    descriptor: Descriptor
    manifest: Manifest
    origin: Target


@dataclass(frozen=True, slots=True)
class Image:
    """One platform's image, as the index lists it, with the attestations that belong to it."""

    piece: Piece
    attestations: tuple[Piece, ...] = ()

    @property
    def descriptor(self) -> Descriptor:
        """The image's descriptor, with the variant that was asked for."""
        return self.piece.descriptor

    @property
    def platform(self) -> Platform:
        """The platform that it is for."""
        assert self.descriptor.platform is not None
        return self.descriptor.platform

    @property
    def size(self) -> int:
        """The bytes of its manifest, configuration and layers."""
        return self.descriptor.size + sum(blob.size for blob in self.piece.manifest.blobs)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What it brings into an index: itself, then its attestations."""
        return (self.piece, *self.attestations)


@dataclass(frozen=True, slots=True)
class Origin:
    """A place that holds images: `name` as the user wrote it, and what is named there."""

    name: str
    target: Target
    roots: tuple[Node, ...]

    @classmethod
    def open(cls, session: Session, location: Location) -> Self:
        """Read what `location` names, or all that a layout or an archive lists; raise NotFound, UsageError."""
        target = location.open(session)
        if not isinstance(target, LocalTarget):
            return cls(str(location), target, (read_node(target, location.identifier or "latest"),))
        if location.identifier is None:
            return cls.of(str(location), target, target.roots)
        found = target.resolve(location.identifier)
        if found is None:
            raise NotFound(f"{location} isn't there", hint=f"it has: {', '.join(target.tags()) or 'no names'}")
        return cls.of(str(location), target, [found])

    @classmethod
    def of(cls, name: str, target: Target, roots: Iterable[Descriptor]) -> Self:
        """Read manifests of a target that is open."""
        listed = tuple(roots)
        found = each(lambda root: read_node(target, root.digest).manifest, listed)
        described = (replace(r, media_type=m.media_type) for r, m in zip(listed, found, strict=True))
        return cls(name, target, tuple(map(Node, described, found)))


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be published: the images; `annotations` are what all the indexes that they are from have alike."""

    images: tuple[Image, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def without_attestations(self) -> Self:
        """The same images, and nothing that attests them."""
        return replace(self, images=tuple(replace(image, attestations=()) for image in self.images))

    @classmethod
    def read(cls, origins: Sequence[Origin], asked: Sequence[Platform] = ()) -> Self:
        """Find the images for the platforms asked, in that order; all of them where none is.

        The variants that were asked for are written. An image that several places hold is one. Raise UsageError where
        there are two for a platform, NotFound where one is missing, or there is none at all.
        """
        found = _find(origins)
        names = ", ".join(origin.name for origin in origins)
        chosen = _choose(found.images, asked, names) if asked else list(found.images)
        if not chosen:
            raise NotFound(f"there are no images in {names}")
        attesting = [[*found.attestations.get(listed.descriptor.digest, {}).values()] for listed in chosen]
        manifests = iter(
            each(_read, [listed for group in zip(chosen, attesting, strict=True) for listed in _all(group)])
        )
        images = tuple(
            Image(next(manifests), tuple(next(manifests) for _ in attestations)) for attestations in attesting
        )
        indexes = [root.manifest for origin in origins for root in origin.roots]
        alike = common_annotations(indexes) if all(index.is_index for index in indexes) else {}
        return cls(images, alike)


class _Listed(NamedTuple):
    """What some index says of an image or an attestation, and where that is."""

    descriptor: Descriptor
    origin: Origin


class _Found(NamedTuple):
    images: list[_Listed]
    attestations: dict[Digest, dict[Digest, _Listed]]


def read_location(text: str) -> Location:
    """Read what `--from` names: a directory that exists, a path that begins with a dot or a slash, or a bare word.

    All else is a location as everywhere: an image of Docker Hub needs its tag. Raise UsageError, also for a file whose
    kind isn't told.
    """
    path = Path(text)
    try:
        is_file, is_directory = path.is_file(), path.is_dir()
    except (OSError, ValueError):  # no file has such a name
        is_file = is_directory = False
    if is_file:
        raise UsageError(
            f"{text} is a file, and nothing says what it holds",
            hint=f"write oci-archive:{text} or docker-archive:{text}",
        )
    if is_directory or text.startswith(("/", ".")) or not set(text) & set(":@/"):
        return Location(path, None)
    return Location.parse(text)


def _find(origins: Sequence[Origin]) -> _Found:
    """Open all indexes; tell images and attestations apart."""
    pairs = [(origin, root) for origin in origins for root in origin.roots]
    groups = each(lambda pair: flatten(pair[0].target, pair[1]), pairs)
    images: dict[Platform, _Listed] = {}
    attestations: dict[Digest, dict[Digest, _Listed]] = {}
    for (origin, _), entries in zip(pairs, groups, strict=True):
        for entry in entries:
            listed = _Listed(entry.descriptor, origin)
            owner = listed.descriptor.attests
            if owner is not None:
                attestations.setdefault(owner, {}).setdefault(listed.descriptor.digest, listed)
                continue
            platform = listed.descriptor.platform
            if platform is None or platform.is_unknown:
                raise ProtocolError(f"{listed.descriptor.digest} in {origin.name} doesn't tell its platform")
            twin = images.setdefault(platform.normalized, listed)
            if twin.descriptor.digest != listed.descriptor.digest:
                raise UsageError(
                    f"there are two images for {platform}: {twin.descriptor.digest} in {twin.origin.name} "
                    f"and {listed.descriptor.digest} in {origin.name}",
                    hint="leave one of them out; a digest names a single image",
                )
    return _Found(list(images.values()), attestations)


def _choose(images: Sequence[_Listed], asked: Sequence[Platform], names: str) -> list[_Listed]:
    """Pick the images for each platform, in that order, and write its variant; raise NotFound for all that lack."""
    chosen: list[_Listed] = []
    missing = []
    for platform in asked:
        fitting = [listed for listed in images if fits(platform, listed.descriptor.platform)]
        if not fitting:
            missing.append(str(platform))
        for descriptor, origin in fitting:
            assert descriptor.platform is not None
            written = replace(descriptor.platform, variant=platform.variant)
            chosen.append(_Listed(replace(descriptor, platform=written), origin))
    if missing:
        there = ", ".join(str(listed.descriptor.platform) for listed in images) or "none"
        raise NotFound(f"there is no image for {', '.join(missing)} in {names}", hint=f"there are: {there}")
    return chosen


def _all(group: tuple[_Listed, list[_Listed]]) -> list[_Listed]:
    return [group[0], *group[1]]


def _read(listed: _Listed) -> Piece:
    """Read a manifest; raise ContentMismatch where it isn't as large as it is listed."""
    descriptor, origin = listed
    manifest = read_node(origin.target, descriptor.digest).manifest
    if manifest.is_index or len(manifest.raw) != descriptor.size:
        raise ContentMismatch(f"the manifest {descriptor.digest} in {origin.name} isn't what is said of it")
    return Piece(replace(descriptor, media_type=manifest.media_type), manifest, origin.target)
