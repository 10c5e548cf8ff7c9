"""A release on its way into a repository: pushed, verified, tagged, and freed of what named it on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from regkit.errors import (
    AccessDenied,
    Interrupted,
    NotFound,
    PartlyDone,
    Refused,
    RegkitError,
    Unavailable,
    UnexpectedStatus,
    VerificationFailed,
)
from regkit.events import Note, StageStarted, TagKept, TagMoved, TagRemoved
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.platform import Platform
from regkit.ops.graph import Node
from regkit.ops.images import Image, Piece
from regkit.ops.presence import absent_from, lost_from, read_back, shown_by
from regkit.ops.putback import PutBack, Remover
from regkit.ops.result import together
from regkit.ops.settle import Settlement
from regkit.ops.tasks import each
from regkit.ops.transfer import Transfer
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
        self._manifests = {piece.descriptor.digest: piece.manifest for piece in self._pieces}
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

    def tag(
        self, moves: Iterable[tuple[str, Digest | None]], release: Release | None = None, exact: Collection[str] = ()
    ) -> RegkitError | None:
        """Put tags on the index, one after the other, each with the digest it stands on; then read each back.

        With a `release`, its aliases are then settled among all who publish at the same time; where that is lost to
        another one, the Refused that says so is given back. Raise VerificationFailed where a tag doesn't show. What
        stands on the index already isn't written again.

        Where the registry refuses one, those that were written are put back, and its refusal is raised. Once a tag of
        `exact` stands the release is up: then the others follow, as long as anybody answers, and PartlyDone is given
        back. Whatever is raised, `tags` are those that stand on the index.
        """
        written, unmoved = self._write(list(moves), exact)
        settlement = Settlement(self._session, self.repository, self.index, release)
        try:
            lost: RegkitError | None = settlement.run(written)
        except Unavailable as error:
            lost = self._unseen(error, written, exact)
        except RegkitError:
            self._tags = [tag for tag in self._tags if tag not in written or self._shows(tag)]
            raise
        else:
            for tag, standing in written.items():
                if tag in settlement.lost:
                    self._tags.remove(tag)
                else:
                    self._session.report(TagMoved(tag, self.index.digest, standing))
        return together(lost, self._unmoved(unmoved))

    def _write(
        self, moves: Sequence[tuple[str, Digest | None]], exact: Collection[str]
    ) -> tuple[dict[str, Digest | None], dict[str, RegkitError]]:
        """Give what was written, with what it stood on before, and what couldn't be of a release that is up."""
        written: dict[str, Digest | None] = {}
        unmoved: dict[str, RegkitError] = {}
        is_up = any(tag in exact and standing == self.index.digest for tag, standing in moves)
        away: Unavailable | None = None
        for tag, standing in moves:
            if standing == self.index.digest:
                self._session.report(TagKept(tag, "it stands there already"))
            elif away is not None:
                unmoved[tag] = away
                continue
            else:
                try:
                    self._push_index(tag)
                except (Refused, AccessDenied, UnexpectedStatus) as error:
                    if not is_up:
                        raise self._take_back(error, tag, written, exact) from error
                    unmoved[tag] = error
                    continue
                except Unavailable as error:
                    if not is_up:
                        raise _halfway(error, written) from None
                    unmoved[tag] = away = error
                    continue
                written[tag] = standing
            self._tags.append(tag)
            is_up = is_up or tag in exact
        return written, unmoved

    def _take_back(
        self, error: RegkitError, tag: str, written: Mapping[str, Digest | None], exact: Collection[str]
    ) -> RegkitError:
        """Put back what was written before the registry refused a tag; give the error that says what stands where."""
        hint = _about_aliases([tag], error) if exact and tag not in exact else error.hint
        kind = AccessDenied if isinstance(error, AccessDenied) else Refused
        if not written:
            return kind(error.message, hint=hint)
        self._session.report(Note(f"{tag} is refused: the tags before it are being put back", warning=True))
        back = PutBack(self._session, self.repository, self.index)
        said = back.run(written)
        self._tags = [tag for tag in self._tags if tag in back.left or tag not in written]
        refusal = kind(f"{error.message}; of the tags before it, {said}", hint=hint)
        if self._tags and None in written.values():
            try:
                lost, gone = self._gone()  # a registry may take along with a tag what those that stood already stand on
                if gone:
                    self._restore(lost, gone)
            except VerificationFailed as worse:
                worse.add(refusal.message)
                raise worse from error
            except RegkitError as more:
                refusal.add(f"whether {', '.join(self._tags)} still stands can't be told: {more.message}")
        return refusal

    def _unmoved(self, unmoved: Mapping[str, RegkitError]) -> PartlyDone | None:
        """Say which tags couldn't be moved to a release that is up, and for what reason."""
        if not unmoved:
            return None
        for tag, error in unmoved.items():
            self._session.report(TagKept(tag, error.message))
        errors = list(dict.fromkeys(unmoved.values()))
        said = "; ".join(error.message for error in errors)
        refused = {tag: error for tag, error in unmoved.items() if not isinstance(error, Unavailable)}
        hints = [_about_aliases(refused, errors[0])] if refused else []
        if len(refused) < len(unmoved):
            hints.append("the same command again moves the rest")
        return PartlyDone(
            f"the release is up, but {self.repository.name} lacks {', '.join(unmoved)}: {said}",
            hint="; ".join(hints),
        )

    def _unseen(self, error: Unavailable, written: Collection[str], exact: Collection[str]) -> PartlyDone:
        """Say that nobody tells now where tags stand of which the registry said that they were written."""
        names = ", ".join(written)
        if not any(tag in exact for tag in self._tags):
            error.add(f"before that, {_were(written)} moved")
            error.hint = "the same command again looks whether they show"
            raise error
        return PartlyDone(
            f"the release is up, but where {names} of {self.repository.name} stand now can't be asked: {error.message}",
            hint="the same command again looks, and writes again what isn't as it should be",
        )

    def _shows(self, tag: str) -> bool:
        """Tell whether a tag that was written stands on the index; where nobody tells, the registry's word counts."""
        try:
            there = self.repository.resolve(tag)
        except Interrupted:
            raise
        except RegkitError:
            return True
        return there is not None and there.digest == self.index.digest

    def remove_intermediates(self, names: Iterable[str]) -> PartlyDone | None:
        """Remove the tags that named children on the way, each by tag; then ask for all that stays.

        By the specification's way, else by the vendor's API. A name that stands on anything else isn't ours and stays.
        Give PartlyDone where the registry can't, or the vendor doesn't, or nobody answers now: the release is up.
        Raise VerificationFailed where it isn't whole afterwards.
        """
        candidates = [name for name in names if name not in self._tags]
        try:
            leftovers = self._leftovers(candidates)
        except Unavailable as error:
            return self._left(candidates, error)
        if not leftovers:
            return None
        self._session.report(StageStarted("clean", f"removing intermediate tags of {self.repository.name}"))
        removed, stuck = self._untag(leftovers)
        if not removed:
            return stuck
        try:
            lost, gone = self._gone()
        except Unavailable as error:
            return stuck or PartlyDone(
                f"the release is up, but whether {self.repository.name} still has all of it, now that intermediate "
                f"tags are removed, can't be asked: {error.message}",
                hint="the same command again looks, and brings back what is lost",
            )
        if lost or gone:
            self._restore(lost, gone)
        return stuck

    def _leftovers(self, candidates: Sequence[str]) -> list[str]:
        """Find the tags that stand on something of this release."""
        mine = {descriptor.digest for descriptor in self._descriptors}
        each(self._await_name, [name for name in candidates if name in self._names])
        standing = zip(candidates, each(self.repository.resolve, candidates), strict=True)
        return [name for name, there in standing if there is not None and there.digest in mine]

    def _untag(self, names: Sequence[str]) -> tuple[int, PartlyDone | None]:
        """Remove tags; give how many are, and why the others aren't."""
        remover = Remover(self._session, self.repository, self._manifests)
        for done, name in enumerate(names):
            error = remover.remove(name)
            if error is not None:
                is_final = isinstance(error, Refused) and not remover.by_vendor
                return done, self._stuck(names[done:]) if is_final else self._left(names[done:], error)
            self._session.report(TagRemoved(name))
        return len(names), None

    def _left(self, names: Sequence[str], error: RegkitError) -> PartlyDone:
        left = ", ".join(names)
        return PartlyDone(
            f"the release is up, but in {self.repository.name} these tags stay: {left}; {error.message}",
            hint=f"{f'{error.hint}; then ' if error.hint else ''}the same command again removes them",
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

    def _gone(self) -> tuple[list[Descriptor], list[str]]:
        """Look what a registry took along with a tag: content, and tags that show nothing any more.

        One that shows other content was moved by somebody else, and is theirs.
        """
        lost = self._missing(self._descriptors)
        shown = dict(zip(self._tags, each(self.repository.resolve, self._tags), strict=True))
        if any(there is not None and there.digest == self.index.digest for there in shown.values()):
            lost = [descriptor for descriptor in lost if descriptor.digest != self.index.digest]  # it only shows late
        return lost, [tag for tag, there in shown.items() if there is None]

    def _restore(self, lost: Sequence[Descriptor], gone: Sequence[str]) -> None:
        """Bring that back, the names last; raise VerificationFailed where it doesn't show then."""
        known = {**self._manifests, self.index.digest: self.index}
        for descriptor in lost:
            text = f"{self.repository.name} took {descriptor.digest} along with its tag; it is pushed back"
            self._session.report(Note(text, warning=True))
            self.repository.push(descriptor, Bytes(known[descriptor.digest].raw))
        for tag in gone:
            self.repository.push(self.index.descriptor, Bytes(self.index.raw), tag)
        self.verify()
        each(self._read_back, gone)

    def _await_name(self, name: str) -> None:
        """Wait until a name that was just written shows anything; what it is, is looked at afterwards."""
        with suppress(VerificationFailed):
            shown_by(self._session, self.repository, name, lambda _: True, name)

    def _read_back(self, tag: str) -> None:
        read_back(self._session, self.repository, tag, (self.index.digest,), f"{self.repository.name}:{tag}")


def _halfway(error: Unavailable, written: Collection[str]) -> Unavailable:
    """Say what stands already where the registry went away between two tags."""
    if not written:
        return error
    return Unavailable(
        f"{error.message}; before that, {_were(written)} moved", hint="the same command again moves the rest"
    )


def _were(tags: Collection[str]) -> str:
    return f"{', '.join(tags)} {'was' if len(tags) == 1 else 'were'}"


def _about_aliases(tags: Iterable[str], error: RegkitError) -> str:
    """Give what to do about aliases that a registry refused: for a login that may not, what that error says, too."""
    hint = f"--no-aliases leaves {', '.join(tags)} alone; else let the registry move it, and run the same command again"
    return f"{error.hint}; {hint}" if error.hint and isinstance(error, AccessDenied) else hint


def _registry(repository: Repository) -> str:
    return repository.name.partition("/")[0]
