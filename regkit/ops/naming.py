"""Names, which come last: each is written, then read back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from regkit.errors import VerificationFailed
from regkit.events import TagMoved
from regkit.oci.digest import Digest
from regkit.ops.graph import Node
from regkit.ops.presence import read_back
from regkit.ops.tasks import AT_ONCE, each
from regkit.protocol.flow import Bytes
from regkit.targets.target import Target
from regkit.transport.session import Session

TOGETHER = 3
"""From how many tags on one manifest on they are set with one request; a registry that can't costs one in vain."""


class Naming(NamedTuple):
    """A tag that is to stand on a manifest, and what it stands on before."""

    tag: str
    node: Node
    standing: Digest | None = None

    @property
    def digests(self) -> tuple[Digest, Digest]:
        """What the tag may show: where a registry computes a digest by itself, it is sha256."""
        return self.node.descriptor.digest, self.node.manifest.digest


def put_names(
    session: Session,
    target: Target,
    namings: Sequence[Naming],
    written: list[str],
    *,
    ordered: bool = True,
    keeping: bool = False,
) -> dict[str, Digest]:
    """Write tags with their manifests' bytes, one after the other where that counts; then read each back.

    With `keeping`, each is looked at right before, and one that stands on something else is left alone; give those.
    Raise VerificationFailed where one doesn't show. Whatever happens, `written` gets the tags that were.
    """

    def put(naming: Naming) -> Digest | None:
        there = target.resolve(naming.tag) if keeping else None
        if there is not None and there.digest not in naming.digests:
            return there.digest
        _push(target, naming)
        written.append(naming.tag)
        return None

    def look(naming: Naming) -> None:
        try:
            read_back(session, target, naming.tag, naming.digests, f"the tag {naming.tag}")
        except VerificationFailed:
            written.remove(naming.tag)
            raise

    left = namings if ordered or keeping else _put_together(target, namings, written)
    found = each(put, left, 1 if ordered else AT_ONCE)
    kept = {naming.tag: digest for naming, digest in zip(left, found, strict=True) if digest is not None}
    moved = [naming for naming in namings if naming.tag not in kept]
    each(look, moved, AT_ONCE)
    for naming in moved:
        session.report(TagMoved(naming.tag, naming.node.descriptor.digest, naming.standing))
    return kept


def _put_together(target: Target, namings: Iterable[Naming], written: list[str]) -> list[Naming]:
    """Set the tags that share a manifest with one request, where the target can, and the others; give what is left."""
    groups: dict[Digest, list[Naming]] = {}
    for naming in namings:
        groups.setdefault(naming.node.descriptor.digest, []).append(naming)
    units = [[n] for group in groups.values() if len(group) < TOGETHER for n in group]
    units += [group for group in groups.values() if len(group) >= TOGETHER]

    def put(unit: list[Naming]) -> list[Naming]:
        if len(unit) == 1:
            _push(target, unit[0])
            written.append(unit[0].tag)
            return []
        node = unit[0].node
        done = target.push_named(node.descriptor, Bytes(node.manifest.raw), [naming.tag for naming in unit])
        written.extend(naming.tag for naming in unit if naming.tag in done)
        return [naming for naming in unit if naming.tag not in done]

    return [naming for rest in each(put, units, AT_ONCE) for naming in rest]


def _push(target: Target, naming: Naming) -> None:
    target.push(naming.node.descriptor, Bytes(naming.node.manifest.raw), naming.tag)
