"""Content on its way from one target to another: blobs first, then manifests, children before parents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from regkit.events import ContentExists, Note
from regkit.oci.descriptor import Descriptor
from regkit.ops.graph import Graph, Node
from regkit.ops.presence import absent_from
from regkit.ops.tasks import AT_ONCE, Lanes, each, each_in_lanes
from regkit.protocol.flow import Bytes
from regkit.targets.counted import CountedSource
from regkit.targets.local import LocalTarget
from regkit.targets.target import Target
from regkit.transport.session import Session

_HEAVY = 4 * 1024 * 1024
"""From how many bytes on a blob is bound by the line and not by round trips."""


class Transfer:
    """From `source` to `destination`; with `new` there is nothing at the destination, and nothing is asked for."""

    def __init__(self, session: Session, source: Target, destination: Target, *, new: bool = False) -> None:
        self._session, self._new = session, new
        self._source, self._destination = source, destination

    def absent(self, nodes: Sequence[Node]) -> list[Node]:
        """Ask for every manifest: a registry may have lost a child of an index that it keeps.

        An image in a layout or an archive is also absent while one of its blobs is: nothing keeps these together there.
        """
        if self._new:
            return list(nodes)
        descriptors = [node.descriptor for node in nodes]
        absent = {d.digest for d in absent_from(self._destination, descriptors, self._session.report, AT_ONCE)}
        return [node for node in nodes if node.descriptor.digest in absent or self._lacks_a_blob(node)]

    def _lacks_a_blob(self, node: Node) -> bool:
        here = self._destination
        return isinstance(here, LocalTarget) and any(
            not here.exists(blob) for blob in node.blobs if not blob.extra.get("urls")
        )

    def blobs_of(self, nodes: Iterable[Node]) -> list[Descriptor]:
        """Give every blob once; one with URLs of its own only where the source has it (image-spec, descriptor.md)."""
        blobs = {blob.digest: blob for node in nodes for blob in node.blobs}
        foreign = [blob for blob in blobs.values() if blob.extra.get("urls")]
        for blob, there in zip(foreign, each(self._source.exists, foreign), strict=True):
            if not there:
                self._session.report(Note(f"the layer {blob.digest} stays where its URLs lead: the source lacks it"))
                del blobs[blob.digest]
        return list(blobs.values())

    def absent_blobs(self, blobs: Sequence[Descriptor]) -> list[Descriptor]:
        """Ask for blobs, and bring none."""
        return absent_from(self._destination, blobs)

    def bring_blobs(self, blobs: Sequence[Descriptor]) -> list[Descriptor]:
        """Bring blobs over, side by side, the small ones first; give those that were sent."""
        ordered = sorted(blobs, key=_is_heavy)
        sent = {
            blob.digest for blob, is_sent in zip(ordered, each_in_lanes(self._bring, ordered), strict=True) if is_sent
        }
        return [blob for blob in blobs if blob.digest in sent]

    def _bring(self, blob: Descriptor, lanes: Lanes) -> bool:
        """Share a blob, or stream it: no file is written on the way. Tell whether it was sent.

        A registry may take long to put away what it got: another large one is sent meanwhile.
        """
        if self._is_shared(blob):
            return False
        source = self._source.fetch(blob)
        if _is_heavy(blob):
            with lanes.lane() as leave:
                self._destination.push(blob, CountedSource(source, ended=leave))
        else:
            self._destination.push(blob, source)
        return True

    def _is_shared(self, blob: Descriptor) -> bool:
        """Share a blob within a registry, or find it there.

        Where nothing is expected to be there, a mount from the repository itself asks, and opens the upload as well.
        """
        shared = self._destination.mount(blob, self._source)
        if not shared:
            new = self._new
            shared = self._destination.mount(blob, self._destination) if new else self._destination.exists(blob)
        if shared:
            self._session.report(ContentExists(blob))
            return True
        return False

    def bring_manifests(self, graph: Graph, absent: Sequence[Node], named: Sequence[Node] = ()) -> None:
        """Push what is absent by digest, level by level; `named` roots get there by their names, afterwards.

        A root that another one lists is needed before that; one that isn't known by sha256 keeps its digest only so.
        """
        inner = {child.digest for node in graph.nodes for child in node.children}
        later = {node.manifest.digest for node in named} - inner
        wanted = {node.descriptor.digest for node in absent} - later
        for level in graph.levels:
            todo = [node for node in level if node.descriptor.digest in wanted]
            each(lambda node: self._destination.push(node.descriptor, Bytes(node.manifest.raw)), todo)


def _is_heavy(blob: Descriptor) -> bool:
    return blob.size > _HEAVY
