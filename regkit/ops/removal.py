"""Tags on their way out of a repository, side by side; what goes with them and shouldn't is put back from memory.

The first tag goes alone. What the registry took along with it tells whether it cascades; if it does, it is read where
every other tag stands before the rest goes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from regkit.errors import (
    AccessDenied,
    ContentMismatch,
    Interrupted,
    NotFound,
    ProtocolError,
    Refused,
    RegkitError,
    Unavailable,
    VerificationFailed,
)
from regkit.events import Note, TagKept, TagRemoved
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.ops.presence import looks
from regkit.ops.tasks import attempt, outcomes
from regkit.ops.untag import Untagger
from regkit.protocol.flow import Bytes
from regkit.targets.repository import Repository
from regkit.transport.session import Session


@dataclass
class RemovedTags:
    """The removal of some tags, each with what it stands on, from one repository.

    `staying` says where the other tags stand, None where nobody looked. `spare` are manifests that needn't be put back,
    `also` more that are to be remembered. With `look` each tag is asked for right before it goes, and one that moved
    stays.
    """

    session: Session
    untagger: Untagger
    going: Mapping[str, Digest]
    staying: Mapping[str, Digest] | None = None
    spare: Collection[Digest] = ()
    also: Collection[Digest] = ()
    look: bool = False
    removed: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    failed: dict[str, RegkitError] = field(default_factory=dict)
    """Which tags are gone, which had moved, and which stay for a reason that isn't ours."""

    def __post_init__(self) -> None:
        self._repository = self.untagger.repository
        self._memory: dict[Digest, Manifest] = {}

    def run(self) -> None:
        """Remove them; whatever goes wrong with one is in `failed`, and the others go on.

        Raise AccessDenied where these credentials may not remove tags, or read what would have to be put back;
        Unavailable where the first can't be removed for now. Once one is removed nothing is raised: what goes wrong
        with looking, or putting back, is in `failed`, for the tags that weren't tried then, else for the repository.
        """
        try:
            self._run()
        except Interrupted:
            raise
        except RegkitError as error:
            if not self.removed:
                raise
            left = [tag for tag in self.going if tag not in (*self.removed, *self.moved, *self.failed)]
            self.failed |= dict.fromkeys(left or [self._repository.name], error)
        finally:
            for tag in self.removed:
                self.session.report(TagRemoved(f"{self._repository.name}:{tag}"))

    def _run(self) -> None:
        if not self.going:
            return
        self._remember()
        before = self._repository.tags()
        waiting = [tag for tag in self.going if tag not in self.failed]
        while waiting and not self.removed:
            self._begin(waiting.pop(0), before)
        found = outcomes(attempt(self._one), waiting)
        self._settle(zip(waiting, found, strict=True))
        self._look_again(before)
        self._put_back(before)

    def _begin(self, tag: str, before: Collection[str]) -> None:
        """Remove a tag alone; look where the others stand, where it took something along."""
        outcome = attempt(self._one)(tag)
        if isinstance(outcome, AccessDenied | Unavailable):
            raise outcome
        self._settle([(tag, outcome)])
        known = self._memory.get(self.going[tag])
        if not self.removed or known is None or self._repository.resolve(self.going[tag]) is not None:
            return
        if self._put_back(before) and self.staying is None:
            wanted = [other for other in before if other not in self.going]
            found = zip(wanted, outcomes(self._repository.resolve, wanted), strict=True)
            self.staying = {other: there.digest for other, there in found if isinstance(there, Descriptor)}

    def _remember(self) -> None:
        """Read what may have to be put back; a tag whose manifest can't be read for now stays."""
        digests = list(dict.fromkeys((*self.going.values(), *self.also)))
        for digest, found in zip(digests, outcomes(self._read, digests), strict=True):
            if isinstance(found, Manifest):
                self._memory[digest] = found
            elif isinstance(found, RegkitError):
                self.failed.update({tag: found for tag, stands in self.going.items() if stands == digest})

    def _read(self, digest: Digest) -> Manifest | None:
        """Read a manifest; None for what isn't one of today."""
        try:
            manifest = self._repository.manifest(digest)
        except (NotFound, ProtocolError, ContentMismatch):
            return None
        return manifest if manifest.media_type in mediatype.MANIFESTS else None

    def _one(self, tag: str) -> bool:
        """Remove a tag; False where it has moved meanwhile."""
        digest = self.going[tag]
        if self.look:
            there = self._repository.resolve(tag)
            if there is not None and there.digest != digest:
                return False
        self.untagger.remove(tag, self._memory.get(digest))
        return True

    def _settle(self, found: Iterable[tuple[str, bool | RegkitError]]) -> None:
        for tag, outcome in found:
            if isinstance(outcome, RegkitError):
                self.failed[tag] = outcome
            elif outcome:
                self.removed.append(tag)
            else:
                self.moved.append(tag)
                self.session.report(TagKept(tag, "it was moved meanwhile"))

    def _look_again(self, before: Collection[str]) -> None:
        """Find the tags of which the registry said that they are gone, and which it still lists."""
        left = set(self.removed) & set(before)
        for _ in looks(self.session) if left else ():
            left &= set(self._repository.tags())
            if not left:
                break
        for tag in sorted(left):
            self.removed.remove(tag)
            self.failed[tag] = Refused(
                f"{self._repository.name}:{tag} was removed, says the registry, and still stands"
            )

    def _put_back(self, before: Collection[str]) -> bool:
        """Push what was taken along, images before indexes, and set the tags that stood on it and stay.

        Give whether there was any. Where a registry hides what has no tag, nothing is missed but what others need.
        """
        wanted = [digest for digest in self._memory if digest not in self.spare]
        found = zip(wanted, outcomes(self._repository.resolve, wanted), strict=True)
        lost = {digest: self._memory[digest] for digest, there in found if there is None}
        left = set(self._repository.tags()) if lost else set(before)
        gone = [tag for tag in before if tag not in left and tag not in self.going]
        if not gone and self.untagger.row is not None and self.untagger.row.hides_untagged:
            lost = {digest: manifest for digest, manifest in lost.items() if digest in self.also}
        if not lost:
            return False
        names = self._names(gone, lost)
        what = ", ".join((*lost, *(tag for tags in names.values() for tag in tags)))
        said = f"{self._repository.name} took {what} along with a tag; it is put back"
        self.session.report(Note(said, warning=True))
        for digest, manifest in sorted(lost.items(), key=_height(lost)):
            try:
                for name in (None, *names.get(digest, ())):
                    push(self._repository, digest, manifest, name)
            except RegkitError as error:
                raise VerificationFailed(
                    f"{self._repository.name} took {digest} along, which can't be put back: {error.message}",
                    hint="push it anew from where it was built",
                ) from None
        return True

    def _names(self, gone: Collection[str], lost: Mapping[Digest, Manifest]) -> dict[Digest, list[str]]:
        """Tell where tags stood that went with something: as far as it was looked at, or only one thing went."""
        names: dict[Digest, list[str]] = {}
        for tag in gone:
            if self.staying is not None:
                stood = self.staying.get(tag)
            else:
                stood = next(iter(lost)) if len(lost) == 1 else None
                if stood is None:
                    self.failed[tag] = Refused(f"{self._repository.name}:{tag} is gone, and where it stood isn't known")
            if stood is not None and stood in lost:
                names.setdefault(stood, []).append(tag)
        return names


def push(repository: Repository, digest: Digest, manifest: Manifest, name: str | None = None) -> None:
    """Push a manifest from memory, by digest or under a tag."""
    repository.push(Descriptor(manifest.media_type, digest, len(manifest.raw)), Bytes(manifest.raw), name)


def _height(lost: Mapping[Digest, Manifest]) -> Callable[[tuple[Digest, Manifest]], int]:
    """Give the order in which manifests can be pushed: what they list before themselves."""

    def height(digest: Digest) -> int:
        manifest = lost.get(digest)
        below = manifest.manifests if manifest is not None else ()
        return 1 + max((height(child.digest) for child in below if child.digest in lost), default=0)

    return lambda item: height(item[0])
