"""Inspect: what a reference stands for, with its children."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from regkit.errors import NotFound, ProtocolError
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest
from regkit.oci.platform import Platform
from regkit.ops.graph import MAX_DEPTH
from regkit.ops.resolve import choose, images_meant, only_entry, read_root
from regkit.ops.tasks import each
from regkit.targets.location import Location
from regkit.targets.target import Target, digest_or_none
from regkit.targets.verified import read_all
from regkit.transport.session import Session


@dataclass(frozen=True, slots=True)
class Inspected:
    """A manifest that is there, as its index describes it; None where it's missing, or is no manifest at all."""

    descriptor: Descriptor
    manifest: Manifest | None

    @property
    def is_missing(self) -> bool:
        """Whether it should be there and isn't; an index may list blobs, too, which aren't looked for here."""
        return self.manifest is None and self.descriptor.is_manifest

    @property
    def attested(self) -> Digest | None:
        """The image that this attestation belongs to; None also where it doesn't say which."""
        try:
            return self.descriptor.attests
        except ProtocolError:
            return None

    @property
    def total_size(self) -> int:
        """The bytes of manifest, configuration and layers."""
        blobs = self.manifest.blobs if self.manifest else ()
        return self.descriptor.size + sum(blob.size for blob in blobs)

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object: the descriptor, and what the manifest lists."""
        layers = [layer.to_json() for layer in self.manifest.layers] if self.manifest else None
        return {**self.descriptor.to_json(), "totalSize": self.total_size, "layers": layers}


@dataclass(frozen=True, slots=True)
class Inspection:
    """A manifest under its name; an index with its `children`, an image with its `config`."""

    name: str
    manifest: Manifest
    children: tuple[Inspected, ...] = ()
    config: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""
        own = Inspected(self.manifest.descriptor, self.manifest)
        return {
            "schema": 1,
            "name": self.name,
            "digest": self.manifest.digest,
            "mediaType": self.manifest.media_type,
            "size": len(self.manifest.raw),
            "annotations": dict(self.manifest.annotations),
            **(
                {"manifests": [child.to_json() for child in self.children]}
                if self.manifest.is_index
                else {"platform": self.platform.to_json() if self.platform else None, "layers": own.to_json()["layers"]}
            ),
        }

    @property
    def platform(self) -> Platform | None:
        """An image's platform, as its configuration tells it."""
        return Platform.of_config(self.config)


def inspect(session: Session, location: Location, platform: Platform | None = None) -> Inspection:
    """Read what `location` names, or the image for `platform` in it; raise NotFound where it isn't there."""
    with location.open(session) as target:
        manifest = read_root(target, location)
        name = str(location)
        if platform is not None and manifest.is_index:
            child = choose(name, manifest, platform)
            manifest, name = target.manifest(child.digest), f"{name} ({child.platform})"
        if manifest.is_index:
            found = each(lambda child: _entry(target, child), manifest.manifests)
            return Inspection(name, manifest, tuple(found))
        return Inspection(name, manifest, config=config_of(target, manifest))


def read_manifest(session: Session, location: Location, platform: Platform | None = None) -> Manifest:
    """Read only the bytes that `location` names, or those of the image for `platform` in it; raise NotFound."""
    with location.open(session) as target:
        manifest = read_root(target, location)
        if platform is None or not manifest.is_index:
            return manifest
        return target.manifest(choose(str(location), manifest, platform).digest)


@dataclass(frozen=True, slots=True)
class Tree:
    """A manifest with what is beneath it: the children that an index lists, and what refers to it."""

    entry: Inspected
    children: tuple[Tree, ...] = ()
    referrers: tuple[Tree, ...] = ()


def inspect_tree(session: Session, location: Location, platform: Platform | None = None) -> Tree:
    """Read what `location` names, or the image for `platform` in it, with all beneath it; raise NotFound."""
    with location.open(session) as target:
        manifest = read_root(target, location)
        descriptor = manifest.descriptor
        if platform is not None and manifest.is_index:
            descriptor = choose(str(location), manifest, platform)
        return _grow(target, [descriptor])[0]


@dataclass(frozen=True, slots=True)
class Config:
    """An image's configuration: its bytes, and the platform that the index gives it."""

    image: Digest
    platform: Platform | None
    raw: bytes

    @property
    def document(self) -> Any:
        """The parsed bytes; raise ProtocolError where they aren't JSON."""
        return parse_config(self.raw, self.image)


def read_configs(session: Session, location: Location, platform: Platform | None = None) -> tuple[Config, ...]:
    """Read the configuration of each image that `location` names, attestations left out; raise NotFound."""
    with location.open(session) as target:
        root = read_root(target, location)
        images = images_meant(str(location), root, platform)

        def read(image: Descriptor) -> Config | None:
            manifest = root if image.digest == root.digest else target.manifest(image.digest)
            config = manifest.config
            raw = read_all(target.fetch(config), MAX_SIZE) if config else None
            return None if raw is None else Config(image.digest, image.platform, raw)

        return tuple(config for config in each(read, images) if config is not None)


def list_referrers(
    session: Session, location: Location, platform: Platform | None = None, artifact_type: str | None = None
) -> tuple[Digest, tuple[Descriptor, ...]]:
    """List what refers to what `location` names, or to the image for `platform` in it; give its digest as well.

    Raise NotFound for a tag that isn't there; what refers to a digest may be there without it.
    """
    with location.open(session) as target:
        name = location.identifier or only_entry(target)
        if platform is not None or digest_or_none(name) is None:
            manifest = target.manifest(name)
            wanted = platform is not None and manifest.is_index
            name = choose(str(location), manifest, cast(Platform, platform)).digest if wanted else manifest.digest
        digest = Digest(name)
        return digest, target.referrers(digest, artifact_type)


def _grow(target: Target, descriptors: Sequence[Descriptor], depth: int = 0) -> list[Tree]:
    """Read manifests side by side, then all that is beneath them, level by level, `MAX_DEPTH` levels at most."""

    def read(descriptor: Descriptor) -> tuple[Inspected, tuple[Descriptor, ...], tuple[Descriptor, ...]]:
        entry = _entry(target, descriptor)
        if entry.manifest is None or depth == MAX_DEPTH or entry.attested is not None:
            return entry, (), ()
        return entry, entry.manifest.manifests, target.referrers(descriptor.digest)

    found = each(read, descriptors)
    beneath = [item for _, children, referrers in found for item in (*children, *referrers)]
    if not beneath:
        return [Tree(entry) for entry, _, _ in found]
    grown = iter(_grow(target, beneath, depth + 1))
    return [
        Tree(entry, tuple(islice(grown, len(children))), tuple(islice(grown, len(referrers))))
        for entry, children, referrers in found
    ]


def _entry(target: Target, descriptor: Descriptor) -> Inspected:
    if not descriptor.is_manifest:
        return Inspected(descriptor, None)
    try:
        return Inspected(descriptor, target.manifest(descriptor.digest))
    except NotFound:
        return Inspected(descriptor, None)


def config_of(target: Target, manifest: Manifest) -> Mapping[str, Any] | None:
    """Read an image's configuration; None for what has none. Raise NotFound, ProtocolError where it isn't JSON."""
    if manifest.config is None or not manifest.config.media_type.endswith("+json"):
        return None
    document = parse_config(read_all(target.fetch(manifest.config), MAX_SIZE), manifest.config.digest)
    return document if isinstance(document, dict) else None


def parse_config(raw: bytes, digest: Digest) -> Any:
    """Parse a configuration; raise ProtocolError where it isn't JSON."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise ProtocolError(f"the configuration {digest} isn't valid JSON") from None
