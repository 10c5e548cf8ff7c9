"""A release on its way into a repository: pushed, verified, tagged, and freed of what named it on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from regkit.errors import (
    AccessDenied,
    Interrupted,
    NotFound,
    PartlyDone,
    Refused,
    RegkitError,
    UnexpectedStatus,
    VerificationFailed,
)
from regkit.events import Note, StageStarted, TagKept, TagMoved, TagRemoved
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.graph import Node
from regkit.ops.images import Image, Piece
from regkit.ops.presence import absent_from, lost_from, read_back, shown_by
from regkit.ops.settle import Settlement
from regkit.ops.tasks import each
from regkit.ops.transfer import Transfer
from regkit.ops.untag import Untagger, by_vendor
from regkit.ops.versions import Release
from regkit.protocol.flow import Bytes
from regkit.targets.repository import Repository
from regkit.targets.target import Target
from regkit.transport.session import Session


class Publication:
    """An index and its images in a repository. Manifests are kept in memory: what is lost can be brought back."""

    def __init__(self, session: Session, repository: Repository, index: Manifest, images: Sequence[Image]) -> None:
        self._session, self.repository = session, repository
        self.index, self.images = index, tuple(images)
        self._pieces = [piece for image in images for piece in image.pieces]
        self._tags: list[str] = []
        self._names: set[str] = set()
        """The tags under which children were pushed."""
        self.is_whole = False
        """Whether all content is known to be there."""

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that stand on the index by now."""
        return tuple(self._tags)

    def push(self, names: Mapping[Platform, str], *, ask: bool = True, sibling: Repository | None = None) -> None:
        """Bring it there: every blob, side by side, then the children, then the index, by digest.

        What is there isn't sent again; with `ask` all is asked for beforehand, without it only the blobs are, one by
        one, as they are sent. What a repository of the same registry holds, where it comes from or the `sibling` that
        it went to before, is mounted; all else is streamed. Where `names` has a tag for a platform, an image that is
        new is pushed under it. Raise VerificationFailed where a child that the registry took isn't there.
        """
        blobs = self._blobs()
        own = self.repository.name
        ask = ask or any(origin.name == own for _, origin in blobs.values() if isinstance(origin, Repository))
        wanted = [*(blob for blob, _ in blobs.values()), *self._descriptors]
        absent = {descriptor.digest for descriptor in (self._missing(wanted) if ask else wanted)}
        tags = {image.descriptor.digest: names.get(image.platform) for image in self.images}

        def send(blob_and_origin: tuple[Descriptor, Target]) -> None:
            blob, origin = blob_and_origin
            near = isinstance(origin, Repository) and _registry(origin) == _registry(self.repository)
            if near or sibling is None or not self.repository.mount(blob, sibling):
                Transfer(self._session, origin, self.repository, new=True).bring_blobs([blob])

        def push(descriptor: Descriptor, manifest: Manifest) -> None:
            name = tags.get(descriptor.digest)
            self.repository.push(descriptor, Bytes(manifest.raw), name)
            if name is not None:
                self._names.add(name)

        each(send, [found for digest, found in blobs.items() if digest in absent])
        new = [piece for piece in self._pieces if piece.descriptor.digest in absent]
        each(lambda piece: push(piece.descriptor, piece.manifest), new)
        # Every child is asked for while the index is on its way: that saves a round trip.
        steps: list[Callable[[], None]] = [self.verify]
        if self.index.digest in absent:
            steps.append(self._push_index)
        each(lambda step: step(), steps)
        self.is_whole = True

    def _push_index(self, tag: str | None = None) -> None:
        """Write the index; raise VerificationFailed where the registry refuses it for a child that went."""
        try:
            self.repository.push(self.index.descriptor, Bytes(self.index.raw), tag)
        except (NotFound, UnexpectedStatus) as refusal:
            lost = self._missing([piece.descriptor for piece in self._pieces])
            if not lost:
                raise
            names = ", ".join(descriptor.digest for descriptor in lost)
            raise VerificationFailed(
                f"{self.repository.name} took everything, but {names} went meanwhile",
                hint="does somebody clean up there? the same command again brings it back",
            ) from refusal

    def verify(self) -> None:
        """Ask for every child; raise VerificationFailed where the registry lacks one."""
        lost = lost_from(self._session, self.repository, [piece.descriptor for piece in self._pieces])
        if lost:
            names = ", ".join(descriptor.digest for descriptor in lost)
            raise VerificationFailed(f"{self.repository.name} took everything, but doesn't have {names}")

    def tag(self, moves: Iterable[tuple[str, Digest | None]], release: Release | None = None) -> Refused | None:
        """Put tags on the index, one after the other, each with the digest it stands on; then read each back.

        With a `release`, its aliases are then settled among all who publish at the same time; where that is lost to
        another one, the Refused that says so is given back. Raise VerificationFailed where a tag doesn't show. What
        stands on the index already isn't written again.
        """
        written: dict[str, Digest | None] = {}
        for tag, standing in moves:
            if standing == self.index.digest:
                self._session.report(TagKept(tag, "it stands there already"))
            else:
                self._push_index(tag)
                written[tag] = standing
            self._tags.append(tag)
        settlement = Settlement(self._session, self.repository, self.index, release)
        lost = settlement.run(written)
        for tag, standing in written.items():
            if tag in settlement.lost:
                self._tags.remove(tag)
            else:
                self._session.report(TagMoved(tag, self.index.digest, standing))
        return lost

    def remove_intermediates(self, names: Iterable[str]) -> PartlyDone | None:
        """Remove the tags that named children on the way, each by tag; then ask for all that stays.

        By the specification's way, else by the vendor's API. A name that stands on anything else isn't ours and stays.
        Give PartlyDone where the registry can't, or the vendor doesn't.
        """
        mine = {descriptor.digest for descriptor in self._descriptors}
        candidates = [name for name in names if name not in self._tags]
        each(self._await_name, [name for name in candidates if name in self._names])
        standing = zip(candidates, each(self.repository.resolve, candidates), strict=True)
        leftovers = [name for name, there in standing if there is not None and there.digest in mine]
        if not leftovers:
            return None
        self._session.report(StageStarted("clean", f"removing intermediate tags of {self.repository.name}"))
        stuck = self._untag(leftovers)
        if stuck is not None:
            return stuck
        self._restore()
        self.verify()
        each(self._read_back, self._tags)
        return None

    def _untag(self, names: Sequence[str]) -> PartlyDone | None:
        vendor: Untagger | None = None
        manifests = {piece.descriptor.digest: piece.manifest for piece in self._pieces}
        for done, name in enumerate(names):
            if vendor is None and (refusal := self._refusal(name)) is not None:
                vendor = by_vendor(self._session, Reference.parse_name(self.repository.name))
                if vendor is None:
                    can = isinstance(refusal, AccessDenied)
                    return self._left(names[done:], refusal) if can else self._stuck(names[done:])
            if vendor is not None:
                there = self.repository.resolve(name)
                try:
                    vendor.remove(name, manifests.get(there.digest) if there else None)
                except Interrupted:
                    raise
                except RegkitError as error:
                    return self._left(names[done:], error)
            self._session.report(TagRemoved(name))
        return None

    def _refusal(self, name: str) -> RegkitError | None:
        """Remove a tag by the specification's way; give why the registry can't, or lets nobody with this login."""
        try:
            return None if self.repository.untag(name) else Refused("it can't remove a tag alone")
        except AccessDenied as error:
            return error

    def _left(self, names: Sequence[str], error: RegkitError) -> PartlyDone:
        left = ", ".join(names)
        return PartlyDone(
            f"the release is up, but in {self.repository.name} these tags stay: {left}; {error.message}",
            hint=f"{error.hint + '; ' if error.hint else ''}then the same command again removes them",
        )

    def _stuck(self, names: Sequence[str]) -> PartlyDone:
        for name in names:
            self._session.report(TagKept(name, "the registry can't remove tags"))
        left = ", ".join(names)
        return PartlyDone(
            f"the release is up, but {self.repository.name} can't remove a tag alone, so these stay: {left}",
            hint="a rerun can't change that; there they also keep the platforms' images from garbage collection",
        )

    @property
    def _descriptors(self) -> list[Descriptor]:
        return [*(piece.descriptor for piece in self._pieces), self.index.descriptor]

    def _blobs(self) -> dict[Digest, tuple[Descriptor, Target]]:
        """Give every blob once, with where it is."""
        by_origin: dict[int, list[Piece]] = {}
        for piece in self._pieces:
            by_origin.setdefault(id(piece.origin), []).append(piece)
        blobs: dict[Digest, tuple[Descriptor, Target]] = {}
        for pieces in by_origin.values():
            origin = pieces[0].origin
            transfer = Transfer(self._session, origin, self.repository)
            for blob in transfer.blobs_of([Node(piece.descriptor, piece.manifest) for piece in pieces]):
                blobs.setdefault(blob.digest, (blob, origin))
        return blobs

    def _missing(self, wanted: Sequence[Descriptor]) -> list[Descriptor]:
        return absent_from(self.repository, wanted, self._session.report)

    def _restore(self) -> None:
        """Bring back what a registry took along with a tag."""
        absent = {descriptor.digest for descriptor in self._missing(self._descriptors)}
        content = [(piece.descriptor, piece.manifest) for piece in self._pieces]
        for descriptor, manifest in [*content, (self.index.descriptor, self.index)]:
            if descriptor.digest in absent:
                text = f"{self.repository.name} took {descriptor.digest} along with its tag; it is pushed back"
                self._session.report(Note(text, warning=True))
                self.repository.push(descriptor, Bytes(manifest.raw))
        if self.index.digest in absent:
            for tag in self._tags:
                self.repository.push(self.index.descriptor, Bytes(self.index.raw), tag)

    def _await_name(self, name: str) -> None:
        """Wait until a name that was just written shows anything; what it is, is looked at afterwards."""
        with suppress(VerificationFailed):
            shown_by(self._session, self.repository, name, lambda _: True, name)

    def _read_back(self, tag: str) -> None:
        read_back(self._session, self.repository, tag, (self.index.digest,), f"{self.repository.name}:{tag}")


def _registry(repository: Repository) -> str:
    return repository.name.partition("/")[0]
