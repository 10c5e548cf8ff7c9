"""Names, which come last: each is written, then read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regkit.events import TagMoved
from regkit.oci.digest import Digest
from regkit.ops.graph import AT_ONCE, Node
from regkit.ops.presence import read_back
from regkit.ops.tasks import each
from regkit.protocol.flow import Bytes
from regkit.targets.target import Target
from regkit.transport.session import Session


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

    def check(naming: Naming) -> None:
        # A registry that computes a digest by itself computes sha256, whatever the manifest was asked for by.
        wanted = (naming.node.descriptor.digest, naming.node.manifest.digest)
        read_back(session, target, naming.tag, wanted, f"the tag {naming.tag}")

    each(put, namings, 1 if ordered else AT_ONCE)
    each(check, namings, AT_ONCE)
    for naming in namings:
        session.report(TagMoved(naming.tag, naming.node.descriptor.digest, naming.standing))
