"""Is it there? Asked side by side, and asked again where a registry lags behind its own answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from regkit.errors import VerificationFailed
from regkit.events import ContentExists, Reporter, ignore
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.ops.tasks import CONCURRENCY, each
from regkit.targets.target import Target
from regkit.transport.session import Session

_LAG = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""The waits, in seconds, before each look for what was just written: hubs lag behind their own answers."""


def looks(session: Session) -> Iterator[None]:
    """Give as many looks as a hub gets that lags; each comes after its wait, the first at once."""
    for wait in _LAG:
        if wait:
            session.sleep(wait)
        yield


def absent_from(
    target: Target, wanted: Sequence[Descriptor], report: Reporter = ignore, concurrency: int = CONCURRENCY
) -> list[Descriptor]:
    """Ask for content, side by side; give what isn't there, and report what is."""
    absent = []
    for descriptor, there in zip(wanted, each(target.exists, wanted, concurrency), strict=True):
        if there:
            report(ContentExists(descriptor))
        else:
            absent.append(descriptor)
    return absent


def lost_from(session: Session, target: Target, written: Sequence[Descriptor]) -> list[Descriptor]:
    """Ask for what was just written; give what still isn't there when a hub that lags would show it."""
    lost = list(written)
    for _ in looks(session):
        lost = absent_from(target, lost, session.report)
        if not lost:
            break
    return lost


def read_back(session: Session, target: Target, tag: str, wanted: Collection[Digest], what: str) -> None:
    """Look whether a tag that was written stands on one of `wanted`; raise VerificationFailed, naming `what`."""
    shown_by(session, target, tag, lambda digest: digest in wanted, what)


def shown_by(session: Session, target: Target, tag: str, is_new: Callable[[Digest], bool], what: str) -> Digest:
    """Give what a tag that was written stands on, once that `is_new`; raise VerificationFailed, naming `what`."""
    for _ in looks(session):
        there = target.resolve(tag)
        if there is not None and is_new(there.digest):
            return there.digest
    shows = there.digest if there else "nothing"
    raise VerificationFailed(f"{what} was written, but shows {shows}")
