"""Manifests that nothing names any more once tags are gone: found from those tags, and from what belongs to them.

No registry lists what has no tag. So this is what the tags that go lead to: what they stand on, what that lists, what
refers to that, and the tags that belong to any of it by name. All that a tag that stays is tied to is left out, in both
directions: its children, what refers to it, what it refers to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.ops.census import Census, Known
from regkit.ops.cleanup_plan import SavedCleanup
from regkit.ops.tasks import outcomes
from regkit.protocol.referrers import fallback_tag
from regkit.targets.target import Target


@dataclass
class Candidate:
    """A manifest that may go, why, the tags that belong to it by name, and why it stays after all, if it does."""

    descriptor: Descriptor
    known: Known
    why: str
    companions: tuple[str, ...] = ()
    held: str = ""


@dataclass
class Unnamed:
    """The manifests that the tags in `going` leave behind, found in a deep census.

    `kept` is all that stays, each with the tag that holds it; `saved` is a plan that has to speak of what goes.
    """

    census: Census
    kept: Mapping[Digest, str]
    going: Mapping[str, Digest]
    saved: SavedCleanup | None = None
    candidates: dict[Digest, Candidate] = field(default_factory=dict)

    def find(self) -> None:
        """Gather them, and hold what is needed; where anything couldn't be read, all is held."""
        companions = self.census.companions()
        waiting = [(digest, f"only {tag} named it") for tag, digest in self.going.items()]
        while waiting:
            digest, why = waiting.pop()
            known = self.census.known.get(digest)
            gone = known is None or digest in self.census.absent or digest in self.kept
            if known is None or gone or digest in self.candidates or not known.descriptor(digest).is_manifest:
                continue
            found = Candidate(known.descriptor(digest), known, why, tuple(companions.get(fallback_tag(digest), ())))
            self.candidates[digest] = found
            waiting += self._around(found)
        self._hold()

    def keep(self, kept: Mapping[Digest, str]) -> None:
        """Hold what more is kept than was known."""
        self.kept = kept
        self._hold()

    @property
    def leaving(self) -> tuple[Candidate, ...]:
        """Those that go, in an order in which a registry lets them: what lists before what is listed."""
        left = {digest: each for digest, each in self.candidates.items() if not each.held}
        ordered: list[Candidate] = []
        while left:
            free = [digest for digest in left if not any(other in left for other in self.before(digest))]
            ordered += [left.pop(digest) for digest in free or list(left)]
        return tuple(ordered)

    def before(self, digest: Digest) -> tuple[Digest, ...]:
        """Give what has to be gone before a candidate goes: all that lists it, and what it refers to.

        Where one of them can't be deleted, the candidate is still needed.
        """
        return (
            *self._listed.get(digest, ()),
            *(s for s in (self.candidates[digest].known.subject,) if s in self.candidates),
        )

    @property
    def companions(self) -> dict[str, Digest]:
        """The tags that go with them because they belong to them by name, each with whose it is."""
        return {tag: each.descriptor.digest for each in self.leaving for tag in each.companions}

    @cached_property
    def _listed(self) -> Mapping[Digest, list[Digest]]:
        """Which candidates list a candidate."""
        found: dict[Digest, list[Digest]] = {}
        for digest, candidate in self.candidates.items():
            for child in candidate.known.children:
                found.setdefault(child, []).append(digest)
        return found

    def _around(self, found: Candidate) -> Iterator[tuple[Digest, str]]:
        """Give what goes with a candidate, unless it is kept."""
        name = found.descriptor.digest.short
        yield from ((digest, f"only {name} listed it") for digest in found.known.children)
        yield from ((digest, f"it refers to {name}") for digest in found.known.referrers)
        yield from ((self.census.tags[tag], f"it belongs to {name}") for tag in found.companions)

    def _hold(self) -> None:
        """Hold what something that stays needs, and all that this is tied to."""
        unread = next(iter(self.census.unread.items()), None)
        waiting: list[Candidate] = []
        for digest, candidate in self.candidates.items():
            candidate.held = candidate.held or self._reason(digest, candidate)
            if unread is not None:
                candidate.held = f"{unread[0]} can't be read ({unread[1]}), and may need it"
            if candidate.held:
                waiting.append(candidate)
        while waiting:
            holder = waiting.pop()
            tagged = (self.census.tags[tag] for tag in holder.companions)
            for digest in (*holder.known.around, *tagged):
                needed = self.candidates.get(digest)
                if needed is not None and not needed.held:
                    needed.held = f"{holder.descriptor.digest.short}, which stays, needs it"
                    waiting.append(needed)

    def _reason(self, digest: Digest, candidate: Candidate) -> str:
        if self.saved is not None:
            new = [tag for tag in candidate.companions if tag not in self.saved.going]
            if new:
                return f"{new[0]} belongs to it, of which the plan doesn't speak"
            if digest not in self.saved.deleted:
                return "the plan doesn't speak of it"
        if digest in self.kept:
            return f"{self.kept[digest]} needs it"
        subject = candidate.known.subject
        if subject is not None and subject not in self.candidates and subject not in self.census.absent:
            return f"it refers to {subject.short}, which is there"
        return ""


def lost_companions(target: Target, census: Census, known: Iterable[Digest]) -> dict[str, str]:
    """Give the tags that belong by name to a manifest that isn't there, each with its reason.

    Only what is named in full can be asked for; what can't be asked for is there.
    """
    alive = {fallback_tag(digest) for digest in known}
    orphans = {subject: tags for subject, tags in census.companions().items() if subject not in alive}
    names = [subject for subject in orphans if subject.startswith("sha256-")]
    found = outcomes(lambda name: target.resolve(Digest(name.replace("-", ":", 1))), names)
    gone = [name for name, there in zip(names, found, strict=True) if there is None]
    return {
        tag: f"{name.replace('-', ':', 1)}, to which it belongs, isn't there" for name in gone for tag in orphans[name]
    }
