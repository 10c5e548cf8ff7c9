"""Manifests that nothing names any more once tags are gone: found from those tags, and from what belongs to them.

No registry lists what has no tag. So this is what the tags that go lead to: what they stand on, what that lists, what
refers to that, and the tags that belong to any of it by name. All that a tag that stays needs is left out, in both
directions: its children, what refers to it, what it refers to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from regkit.errors import NotFound, RegkitError
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.ops.cleanup_plan import SavedCleanup
from regkit.ops.closure import Census, outcomes
from regkit.protocol.referrers import fallback_tag
from regkit.targets.target import Target

MAX_ROUNDS = 64
"""How deep what refers to each other is followed."""


@dataclass
class Candidate:
    """A manifest that may go: what it lists and refers to, what refers to it, and the tags that belong to it."""

    descriptor: Descriptor
    why: str
    children: tuple[Digest, ...] = ()
    subject: Digest | None = None
    referrers: tuple[Digest, ...] = ()
    companions: tuple[str, ...] = ()
    held: str = ""
    """Why it stays after all."""


@dataclass
class Unnamed:
    """The manifests that the tags in `going` leave behind.

    `kept` is all that stays, each with the tag that holds it; `saved` is a plan that has to speak of what goes.
    """

    target: Target
    census: Census
    kept: Mapping[Digest, str]
    going: Mapping[str, Digest]
    saved: SavedCleanup | None = None
    candidates: dict[Digest, Candidate] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def find(self) -> None:
        """Read them, and hold what is needed; where anything can't be read, all is held."""
        self.unread = dict(self.census.unread)
        companions = self.census.companions()
        frontier = {digest: f"only {tag} named it" for tag, digest in self.going.items() if digest not in self.kept}
        for _ in range(MAX_ROUNDS):
            new = {digest: why for digest, why in frontier.items() if digest not in self.candidates}
            if not new:
                break
            frontier = {}
            for digest, found in zip(new, outcomes(self._read, new), strict=True):
                if isinstance(found, Candidate):
                    found.why = new[digest]
                    found.companions = tuple(companions.get(fallback_tag(digest), ()))
                    self.candidates[digest] = found
                    frontier.update(self._around(found))
                elif not isinstance(found, NotFound):
                    self.unread[digest] = found.message
        else:
            self.unread.update(dict.fromkeys(frontier, "it is referred to too deep"))
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
        return (*self._listed.get(digest, ()), *(s for s in (self.candidates[digest].subject,) if s in self.candidates))

    @property
    def companions(self) -> dict[str, Digest]:
        """The tags that go with them because they belong to them by name, each with whose it is."""
        return {tag: each.descriptor.digest for each in self.leaving for tag in each.companions}

    @cached_property
    def _listed(self) -> Mapping[Digest, list[Digest]]:
        """Which candidates list a candidate."""
        found: dict[Digest, list[Digest]] = {}
        for digest, candidate in self.candidates.items():
            for child in candidate.children:
                found.setdefault(child, []).append(digest)
        return found

    def _read(self, digest: Digest) -> Candidate:
        manifest: Manifest = self.target.manifest(digest)
        subject = manifest.subject
        return Candidate(
            Descriptor(manifest.media_type, digest, len(manifest.raw)),
            "",
            tuple(child.digest for child in manifest.manifests if child.is_manifest),
            subject.digest if subject else None,
            tuple(each.digest for each in self.target.referrers(digest) if each.is_manifest),
        )

    def _around(self, found: Candidate) -> Iterator[tuple[Digest, str]]:
        """Give what goes with a candidate, unless it is kept."""
        name = found.descriptor.digest.short
        around: list[tuple[Digest, str]] = [(digest, f"only {name} listed it") for digest in found.children]
        around += [(digest, f"it refers to {name}") for digest in found.referrers]
        around += [(self.census.tags[tag], f"it belongs to {name}") for tag in found.companions]
        return ((digest, why) for digest, why in around if digest not in self.kept)

    def _hold(self) -> None:
        """Hold what something that stays needs, and all that this leads to."""
        if self.unread:
            name, why = next(iter(self.unread.items()))
            for candidate in self.candidates.values():
                candidate.held = f"{name} can't be read ({why}), and may need it"
            return
        waiting: list[Candidate] = []
        for digest, candidate in self.candidates.items():
            candidate.held = self._reason(digest, candidate)
            if candidate.held:
                waiting.append(candidate)
        while waiting:
            holder = waiting.pop()
            name = holder.descriptor.digest.short
            tagged = [self.census.tags[tag] for tag in holder.companions]
            for digest in (*holder.children, *holder.referrers, *tagged):
                needed = self.candidates.get(digest)
                if needed is not None and not needed.held:
                    needed.held = f"{name}, which stays, needs it"
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
        for referrer in candidate.referrers:
            if referrer in self.kept:
                return f"{referrer.short}, which {self.kept[referrer]} needs, refers to it"
        subject = candidate.subject
        if subject is not None and subject in self.kept:
            return f"it refers to {subject.short}, which {self.kept[subject]} needs"
        if subject is not None and subject not in self.candidates and self._is_there(subject):
            return f"it refers to {subject.short}, which is there"
        return ""

    def _is_there(self, digest: Digest) -> bool:
        """Ask for something; what can't be asked for is there."""
        try:
            return self.target.resolve(digest) is not None
        except RegkitError:
            return True


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
