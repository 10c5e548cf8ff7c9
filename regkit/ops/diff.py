"""Diff: in what two images, or two releases, are different."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from regkit.errors import NotFound
from regkit.oci import mediatype
from regkit.oci.annotation import REF_NAME
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.platform import Platform
from regkit.ops.inspect import Inspected, config_of
from regkit.ops.resolve import choose, read_root
from regkit.ops.tasks import each
from regkit.targets.location import Location
from regkit.targets.target import Target
from regkit.transport.session import Session

_LISTS = frozenset({"config", "history", "rootfs"})
"""What of a configuration isn't compared as it stands: the layers tell it, or it's taken apart."""


class Change(NamedTuple):
    """What has another value; None on the side where it has none."""

    key: str
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return {"key": self.key, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Image:
    """An image of one side: what its index says of it, itself, and its configuration."""

    descriptor: Descriptor
    manifest: Manifest
    config: Mapping[str, Any]

    @property
    def size(self) -> int:
        """The bytes of manifest, configuration and layers."""
        return Inspected(self.descriptor, self.manifest).total_size


@dataclass(frozen=True, slots=True)
class Side:
    """What one of the two names stands for, with its images by platform and the digests of its attestations.

    `written` says how each platform's name was written.
    """

    name: str
    manifest: Manifest
    images: Mapping[str, Image]
    written: Mapping[str, str]
    attestations: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageDiff:
    """The images for one platform, named as the first side that has it writes it; None on the side that has none."""

    platform: str
    before: Image | None
    after: Image | None

    @property
    def equal(self) -> bool:
        """Whether both sides have the same image, and say the same of it."""
        return self.digests[0] == self.digests[1] and not self.annotations

    @property
    def digests(self) -> tuple[Digest | None, Digest | None]:
        """The images' digests, before and after."""
        return (
            self.before.descriptor.digest if self.before else None,
            self.after.descriptor.digest if self.after else None,
        )

    @property
    def shared(self) -> tuple[Descriptor, ...]:
        """The layers that both have."""
        return tuple(layer for layer in _layers(self.before) if layer.digest in _digests(self.after))

    @property
    def removed(self) -> tuple[Descriptor, ...]:
        """The layers that are in the first only."""
        return tuple(layer for layer in _layers(self.before) if layer.digest not in _digests(self.after))

    @property
    def added(self) -> tuple[Descriptor, ...]:
        """The layers that are in the second only."""
        return tuple(layer for layer in _layers(self.after) if layer.digest not in _digests(self.before))

    @property
    def config(self) -> tuple[Change, ...]:
        """The differences of the configurations, where both have one."""
        if self.before is None or self.after is None:
            return ()
        return tuple(compare(dict(_flat(self.before.config)), dict(_flat(self.after.config))))

    @property
    def annotations(self) -> tuple[Change, ...]:
        """The differences of the annotations: the manifests' own, and those that the indexes give them."""
        if self.before is None or self.after is None:
            return ()
        return (
            *compare(self.before.manifest.annotations, self.after.manifest.annotations),
            *compare(_given(self.before.descriptor), _given(self.after.descriptor), "index-descriptor:"),
        )

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""

        def side(image: Image | None) -> dict[str, Any] | None:
            return {**image.descriptor.to_json(), "totalSize": image.size} if image else None

        return {
            "platform": self.platform,
            "equal": self.equal,
            "before": side(self.before),
            "after": side(self.after),
            "layers": {
                "shared": [layer.to_json() for layer in self.shared],
                "removed": [layer.to_json() for layer in self.removed],
                "added": [layer.to_json() for layer in self.added],
            },
            "config": [change.to_json() for change in self.config],
            "annotations": [change.to_json() for change in self.annotations],
        }


@dataclass(frozen=True, slots=True)
class Diff:
    """Two sides, compared."""

    before: Side
    after: Side

    @property
    def equal(self) -> bool:
        """Whether both are the same bytes."""
        return self.before.manifest.digest == self.after.manifest.digest

    @property
    def images(self) -> tuple[ImageDiff, ...]:
        """By platform, those of the first side first; what means the same machine is compared with each other."""
        names = {**self.after.written, **self.before.written}
        platforms = dict.fromkeys((*self.before.images, *self.after.images))
        return tuple(ImageDiff(names[p], self.before.images.get(p), self.after.images.get(p)) for p in platforms)

    @property
    def annotations(self) -> tuple[Change, ...]:
        """The differences of the indexes' annotations; an image's own stand with the image."""
        before, after = (s.manifest.annotations if s.manifest.is_index else {} for s in (self.before, self.after))
        return tuple(compare(before, after))

    @property
    def media_type(self) -> Change | None:
        """Where one is an index and the other an image, or one is OCI's and the other Docker's."""
        before, after = self.before.manifest.media_type, self.after.manifest.media_type
        return Change("mediaType", before, after) if before != after else None

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""

        def side(side: Side) -> dict[str, Any]:
            return {"name": side.name, **side.manifest.descriptor.to_json(), "attestations": list(side.attestations)}

        return {
            "schema": 1,
            "equal": self.equal,
            "before": side(self.before),
            "after": side(self.after),
            "annotations": [change.to_json() for change in self.annotations],
            "images": [image.to_json() for image in self.images],
        }


def diff(session: Session, before: Location, after: Location, platform: Platform | None = None) -> Diff:
    """Compare what two names stand for, or their images for `platform`; raise NotFound."""
    first, second = each(lambda location: _read(session, location, platform), (before, after))
    return Diff(first, second)


def compare(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Iterator[Change]:
    """Give what has another value, by key, in the order of the first, then of the second."""
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            yield Change(f"{prefix}{key}", before.get(key), after.get(key))


def _read(session: Session, location: Location, platform: Platform | None) -> Side:
    with location.open(session) as target:
        manifest = read_root(target, location)
        descriptor = manifest.descriptor
        if platform is not None and manifest.is_index:
            descriptor = choose(str(location), manifest, platform)
            manifest = target.manifest(descriptor.digest)
        if not manifest.is_index:
            image = _image(target, descriptor, manifest)
            named = descriptor.platform or (Platform.from_json(image.config) if "os" in image.config else None)
            return Side(str(location), manifest, {_key(named): image}, {_key(named): _written(named)})
        entries = [Inspected(child, None) for child in manifest.manifests]
        attestations = tuple(e.descriptor.digest for e in entries if e.attested)
        children = [e.descriptor for e in entries if not e.attested and e.descriptor.media_type in mediatype.IMAGES]
        images = each(lambda child: _image(target, child, target.manifest(child.digest)), children)
        written = {_key(child.platform): _written(child.platform) for child in children}
        return Side(str(location), manifest, {_key(i.descriptor.platform): i for i in images}, written, attestations)


def _key(platform: Platform | None) -> str:
    """Give the same text for platforms that mean the same machine."""
    return _written(platform.normalized if platform else None)


def _written(platform: Platform | None) -> str:
    if platform is None:
        return "no platform"
    version = f" {platform.os_version}" if platform.os_version else ""
    return f"{platform}{version}"


def _image(target: Target, descriptor: Descriptor, manifest: Manifest) -> Image:
    try:
        config = config_of(target, manifest)
    except NotFound as error:
        raise NotFound(f"the configuration of {manifest.digest} can't be read: {error.message}") from None
    return Image(descriptor, manifest, config or {})


def _given(descriptor: Descriptor) -> dict[str, str]:
    """Give what an index annotates, without the name by which a layout lists it."""
    return {key: value for key, value in descriptor.annotations.items() if key != REF_NAME}


def _layers(image: Image | None) -> tuple[Descriptor, ...]:
    return image.manifest.layers if image else ()


def _digests(image: Image | None) -> set[Digest]:
    return {layer.digest for layer in _layers(image)}


def _flat(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Take a configuration apart: a key for each variable, label, port; what is for people is left as it is."""
    for key, value in config.items():
        if key not in _LISTS:
            yield key, value
    inner = config.get("config")
    for key, value in inner.items() if isinstance(inner, dict) else ():
        if key == "Env" and isinstance(value, list) and all(isinstance(item, str) for item in value):
            for item in cast(list[str], value):
                name, _, text = item.partition("=")
                yield f"Env.{name}", text
        elif isinstance(value, dict):
            for name, below in value.items():
                yield f"{key}.{name}", below
        else:
            yield key, value
