"""The entries that indexes are made of: nested indexes opened, platforms known, attestations paired."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from regkit.errors import NotFound, ProtocolError
from regkit.oci.annotation import REF_NAME
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest, canonical_json
from regkit.oci.platform import Platform
from regkit.ops.graph import MAX_DEPTH, Node, read_node
from regkit.ops.tasks import each
from regkit.targets.target import Target
from regkit.targets.verified import read_all


class Entry(NamedTuple):
    """What an index says of a manifest: `descriptor`, its platform filled in, and `document`, as it is written."""

    descriptor: Descriptor
    document: Mapping[str, Any]

    @property
    def owner(self) -> Digest:
        """The image that it belongs to: itself, or what it attests."""
        return self.descriptor.attests or self.descriptor.digest


def flatten(target: Target, root: Node, depth: int = MAX_DEPTH) -> tuple[Entry, ...]:
    """Give the entries that `root` brings into an index, in its order: itself, or what it lists.

    Nested indexes are opened; what was said of one is said of the images in it, unless they say it themselves. Where
    no descriptor tells a platform the configuration does; an artifact has none.
    """
    if depth == 0:
        raise ProtocolError(f"indexes are nested more than {MAX_DEPTH} deep")
    if not root.manifest.is_index:
        own = _complete(target, root.descriptor, root.manifest)
        return (Entry(own, own.to_json()),)
    listed = [*zip(root.manifest.manifests, root.manifest.document.get("manifests") or (), strict=True)]
    groups = each(lambda pair: _entries(target, *pair, depth), listed)
    return tuple(entry for group in groups for entry in group)


def _entries(target: Target, child: Descriptor, document: Mapping[str, Any], depth: int) -> tuple[Entry, ...]:
    if child.is_index:
        inner = flatten(target, read_node(target, child.digest), depth - 1)
        return tuple(_said_of(child, entry) for entry in inner)
    if child.platform is not None or child.attests or not child.is_manifest:
        return (Entry(child, document),)
    return (Entry(_complete(target, child, target.manifest(child.digest)), document),)


def _said_of(index: Descriptor, entry: Entry) -> Entry:
    """Hand on to an image what was said of the index around it."""
    annotations = {**_without_name(index), **entry.descriptor.annotations}
    if entry.descriptor.attests or not annotations:
        return entry
    return Entry(
        replace(entry.descriptor, annotations=annotations), {**entry.document, "annotations": dict(annotations)}
    )


def _complete(target: Target, descriptor: Descriptor, manifest: Manifest) -> Descriptor:
    return replace(
        descriptor,
        platform=descriptor.platform or read_platform(target, manifest),
        annotations=_without_name(descriptor),
        artifact_type=descriptor.artifact_type or _artifact_type(manifest),
    )


def _without_name(descriptor: Descriptor) -> dict[str, str]:
    """Leave out a name that only a layout gives."""
    return {key: value for key, value in descriptor.annotations.items() if key != REF_NAME}


def _artifact_type(manifest: Manifest) -> str | None:
    kind = manifest.document.get("artifactType")
    return kind if isinstance(kind, str) and kind else None


def read_platform(target: Target, manifest: Manifest) -> Platform | None:
    """Read the platform from an image's configuration (image-spec, config.md); None for what isn't an image."""
    if manifest.is_index or manifest.config is None or manifest.config.size > MAX_SIZE:
        return None
    try:
        return Platform.of_config(json.loads(read_all(target.fetch(manifest.config), MAX_SIZE)))
    except (ValueError, RecursionError):
        return None


def fits(asked: Platform, there: Platform | None) -> bool:
    """Compare after normalising; `os.version` and `os.features` count only where they are asked for."""
    if there is None or there.is_unknown:
        return False
    wanted, found = asked.normalized, there.normalized
    return (
        wanted.machine == found.machine
        and wanted.os_version in ("", found.os_version)
        and set(wanted.os_features) <= set(found.os_features)
    )


def list_platforms(entries: Iterable[Entry]) -> str:
    """Name the platforms, for a message."""
    platforms = (entry.descriptor.platform for entry in entries)
    return ", ".join(dict.fromkeys(str(p) for p in platforms if p is not None and not p.is_unknown)) or "none"


def choose_platforms(target: Target, name: str, root: Node, asked: Sequence[Platform]) -> Node:
    """Give the index over the images for the platforms `asked` and their attestations; all else in it stays.

    An index that holds nothing else is given back as it is, an image too. Raise NotFound where a platform is missing.
    """
    entries = flatten(target, root)
    for platform in asked:
        if not any(fits(platform, entry.descriptor.platform) for entry in entries):
            raise NotFound(f"{name} has no image for {platform}", hint=f"it has: {list_platforms(entries)}")
    images = {e.descriptor.digest for e in entries if any(fits(p, e.descriptor.platform) for p in asked)}
    return _index_of(root, [entry for entry in entries if entry.owner in images])


def strip_attestations(target: Target, root: Node) -> Node:
    """Give the index without what attests its images; all else in it stays.

    An index that holds none is given back as it is, an image too.
    """
    entries = flatten(target, root) if root.manifest.is_index else ()
    kept = [entry for entry in entries if entry.descriptor.attests is None]
    return root if len(kept) == len(entries) else _index_of(root, kept)


def _index_of(root: Node, kept: Sequence[Entry]) -> Node:
    """Write the index over some of its entries; what would be the same, and an image, is given back as it is."""
    listed = [child.digest for child in root.manifest.manifests]
    if not root.manifest.is_index or [entry.descriptor.digest for entry in kept] == listed:
        return root
    children = [dict(entry.document) for entry in kept]
    written = canonical_json({**root.manifest.document, "manifests": children})
    manifest = Manifest(root.manifest.media_type, written)
    return Node(manifest.descriptor, manifest)
