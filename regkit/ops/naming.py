"""Names, which come last: each is written, then read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regkit.errors import VerificationFailed
from regkit.events import TagMoved
from regkit.oci.digest import Digest
from regkit.ops.graph import AT_ONCE, Node
from regkit.ops.tasks import each
from regkit.protocol.flow import Bytes
from regkit.targets.target import Target
from regkit.transport.session import Session

_LAG = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""The waits, in seconds, before each look for what was just written: hubs lag behind their own answers."""


@dataclass(frozen=True, slots=True)
class Naming:
    """A tag that is to stand on a manifest, and what it stands on before."""

    tag: str
    node: Node
    standing: Digest | None = None


def put_names(session: Session, target: Target, namings: Sequence[Naming], *, ordered: bool = True) -> None:
    """Write tags with their manifests' bytes, one after the other where that counts; then read each back.

    Raise VerificationFailed where one doesn't show.
    """

    def put(naming: Naming) -> None:
        target.push(naming.node.descriptor, Bytes(naming.node.manifest.raw), naming.tag)

    each(put, namings, 1 if ordered else AT_ONCE)
    each(lambda naming: _read_back(session, target, naming), namings, AT_ONCE)
    for naming in namings:
        session.report(TagMoved(naming.tag, naming.node.descriptor.digest, naming.standing))


def _read_back(session: Session, target: Target, naming: Naming) -> None:
    # A registry that computes a digest by itself computes sha256, whatever the manifest was asked for by.
    wanted = (naming.node.descriptor.digest, naming.node.manifest.digest)
    for wait in _LAG:
        if wait:
            session.sleep(wait)
        there = target.resolve(naming.tag)
        if there is not None and there.digest in wanted:
            return
    shows = there.digest if there else "nothing"
    raise VerificationFailed(f"the tag {naming.tag} was written, but shows {shows}")
