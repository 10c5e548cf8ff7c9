"""The walk: all that a manifest refers to, each manifest read once, children before parents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from regkit.errors import ContentMismatch, ProtocolError, Refused
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.ops.tasks import AT_ONCE, each
from regkit.targets.target import Target, digest_or_none

MAX_DEPTH = 8
"""How deep indexes, and referrers of referrers, are followed; what people build is two or three deep."""

MAX_MANIFESTS = 50_000
"""How many manifests one walk holds in memory; a repository of a thousand tags has some ten thousand."""


class Node(NamedTuple):
    """A manifest, and its descriptor as whoever refers to it wrote that."""

    descriptor: Descriptor
    manifest: Manifest

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """The manifests that it lists."""
        return tuple(child for child in self.manifest.manifests if child.is_manifest)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Everything else: configuration, layers, and an index's entries that are no manifests.

        A layer may have a manifest's media type; it is a blob all the same.
        """
        others = (child for child in self.manifest.manifests if not child.is_manifest)
        content = (*others, *self.manifest.blobs)
        plain = (replace(b, media_type="application/octet-stream") if b.is_manifest else b for b in content)
        return tuple({blob.digest: blob for blob in plain}.values())


class Graph(NamedTuple):
    """What was found: `levels` of manifests, each of which refers only to the levels before it."""

    levels: tuple[tuple[Node, ...], ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every manifest, children before parents."""
        return tuple(node for level in self.levels for node in level)


def read_node(target: Target, name: str) -> Node:
    """Read a manifest by tag or digest; raise NotFound, Refused for a kind that can't be taken along."""
    manifest = target.manifest(name)
    if manifest.media_type in mediatype.SCHEMA1:
        raise Refused(
            f"{name} is a Docker schema 1 manifest ({manifest.media_type}), which regkit doesn't copy",
            hint="push it anew with a client of this decade: that makes an image of schema 2 of it",
        )
    if manifest.media_type not in mediatype.MANIFESTS:
        raise Refused(f"{name} has the media type {manifest.media_type!r}: that is no image and no index")
    descriptor = manifest.descriptor
    return Node(replace(descriptor, digest=digest_or_none(name) or descriptor.digest), manifest)


def walk(target: Target, roots: Iterable[Node], *, referrers: bool = False) -> Graph:
    """Read all that `roots` refer to; with `referrers`, also what refers to any of that, and so on.

    Raise NotFound where a manifest is missing, ProtocolError where there are too many, or they are nested too deep.
    """
    found = {root.descriptor.digest: root for root in roots}
    frontier = list(found.values())
    for _ in range(MAX_DEPTH):
        wanted = {child.digest: child for node in frontier for child in node.children}
        if referrers:
            listed = each(lambda node: target.referrers(node.descriptor.digest), frontier, AT_ONCE)
            wanted |= {entry.digest: entry for group in listed for entry in group if entry.is_manifest}
        missing = [child for digest, child in wanted.items() if digest not in found]
        if not missing:
            return Graph(_in_levels(found))
        if len(found) + len(missing) > MAX_MANIFESTS:
            raise ProtocolError(f"there are more than {MAX_MANIFESTS} manifests")
        frontier = each(_reader(target), missing, AT_ONCE)
        found |= {node.descriptor.digest: node for node in frontier}
    raise ProtocolError(f"manifests refer to each other more than {MAX_DEPTH} deep")


def _reader(target: Target) -> Callable[[Descriptor], Node]:
    def read(child: Descriptor) -> Node:
        manifest = read_node(target, child.digest).manifest
        if len(manifest.raw) != child.size:
            raise ContentMismatch(f"the manifest {child.digest} has {len(manifest.raw)} bytes, not {child.size}")
        return Node(replace(child, media_type=manifest.media_type), manifest)

    return read


def _in_levels(found: Mapping[Digest, Node]) -> tuple[tuple[Node, ...], ...]:
    """Order by height: what has no children comes first."""
    levels: list[tuple[Node, ...]] = []
    placed: set[Digest] = set()
    left = dict(found)
    while left:
        if len(levels) > MAX_DEPTH:
            raise ProtocolError(f"indexes are nested more than {MAX_DEPTH} deep")
        level = [digest for digest, node in left.items() if all(c.digest in placed for c in node.children)]
        levels.append(tuple(left.pop(digest) for digest in level))
        placed.update(level)
    return tuple(levels)
