"""Inspect: what a reference stands for, with its children."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regkit.errors import NotFound, ProtocolError, UsageError
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import MAX_SIZE, Manifest
from regkit.oci.platform import Platform
from regkit.ops.tasks import each
from regkit.targets.location import Location
from regkit.targets.target import Target
from regkit.targets.verified import read_all
from regkit.transport.session import Session


@dataclass(frozen=True, slots=True)
class Entry:
    """A manifest that is there, as its index describes it; None where it's missing."""

    descriptor: Descriptor
    manifest: Manifest | None

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
    children: tuple[Entry, ...] = ()
    config: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""
        own = Entry(self.manifest.descriptor, self.manifest)
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
        return Platform.from_json(self.config) if self.config is not None and "os" in self.config else None


def inspect(session: Session, location: Location, platform: Platform | None = None) -> Inspection:
    """Read what `location` names, or the image for `platform` in it; raise NotFound where it isn't there."""
    with location.open(session) as target:
        manifest = target.manifest(location.identifier or only_entry(target))
        name = str(location)
        if platform is not None and manifest.is_index:
            child = choose(name, manifest, platform)
            manifest, name = target.manifest(child.digest), f"{name} ({child.platform})"
        if manifest.is_index:
            found = each(lambda child: _entry(target, child), manifest.manifests)
            return Inspection(name, manifest, tuple(found))
        return Inspection(name, manifest, config=_config(target, manifest))


def read_manifest(session: Session, location: Location, platform: Platform | None = None) -> Manifest:
    """Read only the bytes that `location` names, or those of the image for `platform` in it; raise NotFound."""
    with location.open(session) as target:
        manifest = target.manifest(location.identifier or only_entry(target))
        if platform is None or not manifest.is_index:
            return manifest
        return target.manifest(choose(str(location), manifest, platform).digest)


def _entry(target: Target, descriptor: Descriptor) -> Entry:
    try:
        return Entry(descriptor, target.manifest(descriptor.digest))
    except NotFound:
        return Entry(descriptor, None)


def choose(name: str, index: Manifest, platform: Platform) -> Descriptor:
    """Find the image for a platform, compared after normalising; raise NotFound, and name what there is."""
    for child in index.manifests:
        if child.platform is not None and child.platform.normalized == platform.normalized:
            return child
    there = ", ".join(str(child.platform) for child in index.manifests if child.platform)
    raise NotFound(f"{name} has no image for {platform}", hint=f"it has: {there}")


def _config(target: Target, manifest: Manifest) -> Mapping[str, Any] | None:
    if manifest.config is None or not manifest.config.media_type.endswith("+json"):
        return None
    try:
        document = json.loads(read_all(target.fetch(manifest.config), MAX_SIZE))
    except (ValueError, RecursionError):
        raise ProtocolError(f"the configuration {manifest.config.digest} isn't valid JSON") from None
    return document if isinstance(document, dict) else None


def only_entry(target: Target) -> str:
    """Give the digest of the only thing that a layout lists; raise UsageError where there are more, or none."""
    roots: tuple[Descriptor, ...] = getattr(target, "roots", ())
    if len(roots) != 1:
        names = ", ".join(target.tags()) or "no named one"
        raise UsageError(f"the layout has {len(roots)} entries", hint=f"name one of them: {names}")
    return roots[0].digest
