"""A census: what a repository's tags refer to, each manifest read once, and only where its media type has to.

An index is read; for an image HEAD is enough, unless the census is deep: then all is read that could refer to
anything, in both directions. What is kept of each manifest is what it refers to, not its bytes: the memory goes with
the number of manifests, whatever the number of tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from regkit.errors import NotFound, RegkitError, Unavailable
from regkit.oci import mediatype
from regkit.oci.annotation import CREATED
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.ops.graph import MAX_DEPTH
from regkit.ops.tasks import outcomes
from regkit.protocol.referrers import fallback_tag
from regkit.targets.target import Target

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_UNREAD = 32
"""How many requests may fail before it is the registry that fails, and not what was asked for."""

MAX_STEPS = 64
"""How long a chain of references is followed in a deep census, in both directions."""

Referrers = Callable[[Digest], Iterable[Digest]]
"""Lists what refers to a manifest."""

_COMPANION = re.compile(r"(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{64})[0-9a-f]*(?:\.(sig|att|sbom))?")
_KINDS = {"sig": "a signature", "att": "an attestation", "sbom": "an SBOM", None: "the list of referrers"}


class Known(NamedTuple):
    """A manifest: media type and size; of an index what it lists, the first image, and when it says that it was made.

    In a deep census also what it refers to, and what refers to it. `is_read` tells whether all that is known.
    """

    media_type: str
    size: int
    children: tuple[Digest, ...] = ()
    image: Digest | None = None
    created: str = ""
    subject: Digest | None = None
    referrers: tuple[Digest, ...] = ()
    is_read: bool = False

    @property
    def around(self) -> tuple[Digest, ...]:
        """All that it is tied to."""
        return (*self.children, *self.referrers, *([self.subject] if self.subject else ()))

    def descriptor(self, digest: Digest) -> Descriptor:
        """Describe it."""
        return Descriptor(self.media_type, digest, self.size)


class Companion(NamedTuple):
    """A tag that belongs to a manifest by its name: `subject` is that manifest's fallback tag."""

    subject: str
    kind: str


@dataclass(frozen=True, slots=True)
class Census:
    """A repository's tags, and all manifests that they lead to.

    `unread` are the tags and digests that couldn't be read, with the reason: what they refer to isn't known. `absent`
    is what something refers to and isn't there.
    """

    tags: Mapping[str, Digest]
    known: Mapping[Digest, Known]
    unread: Mapping[str, str] = field(default_factory=dict)
    absent: frozenset[Digest] = frozenset()

    def closure(self, roots: Mapping[Digest, str]) -> dict[Digest, str]:
        """Give all that `roots` are tied to, each with the name of the root that leads there."""
        found = dict(roots)
        waiting = list(roots)
        while waiting:
            digest = waiting.pop()
            known = self.known.get(digest)
            for other in known.around if known else ():
                if other not in found:
                    found[other] = found[digest]
                    waiting.append(other)
        return found

    def below(self, roots: Iterable[Digest]) -> set[Digest]:
        """Give all that some indexes list, down to the images."""
        found: set[Digest] = set()
        waiting = list(roots)
        while waiting:
            known = self.known.get(waiting.pop())
            new = {child for child in (known.children if known else ()) if child not in found}
            found |= new
            waiting += new
        return found

    def companions(self) -> dict[str, list[str]]:
        """Give the tags that belong to a manifest, by its fallback tag."""
        found: dict[str, list[str]] = {}
        for tag in self.tags:
            companion = companion_of(tag)
            if companion is not None:
                found.setdefault(companion.subject, []).append(tag)
        return found

    def kept_by(self, tags: Iterable[str]) -> dict[Digest, str]:
        """Give all that stays with these tags, each with the tag that holds it.

        That is what they lead to, and the signatures, attestations and lists of referrers that belong to any of it by
        their tag's name, with what those lead to.
        """
        companions = self.companions()
        found: dict[Digest, str] = {}
        roots = {self.tags[tag]: tag for tag in reversed(list(tags)) if tag in self.tags}
        while roots:
            grown = self.closure(roots)
            new = {digest: tag for digest, tag in grown.items() if digest not in found}
            found = {**grown, **found}
            belonging = (tag for digest in new for tag in companions.get(fallback_tag(digest), ()))
            roots = {self.tags[tag]: tag for tag in belonging if self.tags[tag] not in found}
        return found

    def standing(self, digest: Digest) -> list[str]:
        """Give the tags that stand on a manifest."""
        return [tag for tag, there in self.tags.items() if there == digest]


def companion_of(tag: str) -> Companion | None:
    """Tell to which manifest a tag belongs by its name, as cosign's and the referrers' fallback tags do; else None."""
    match = _COMPANION.fullmatch(tag)
    return Companion(match[1], _KINDS[match[2]]) if match else None


def read_census(target: Target, before: Census | None = None, *, ask: Referrers | None = None) -> Census:
    """Look where all tags stand, and read the indexes among what they lead to; what `before` knows isn't read again.

    With `ask`, which lists what refers to a manifest, the census is deep. What can't be read is in `unread`, and so is
    a tag that is listed and isn't there. Raise AccessDenied, and Unavailable for a registry that can't be asked at all.
    """
    reading = _Reading(target, ask, dict(before.known) if before else {})
    reading.resolve(target.tags())
    reading.follow()
    return Census(reading.tags, reading.known, reading.unread, frozenset(reading.absent))


@dataclass
class _Reading:
    target: Target
    ask: Referrers | None
    known: dict[Digest, Known]
    tags: dict[str, Digest] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    absent: set[Digest] = field(default_factory=set)
    failures: int = 0
    _listed: dict[Digest, Known] = field(default_factory=dict)

    def resolve(self, wanted: Sequence[str]) -> None:
        """Look tags up."""
        missing = []
        digests: dict[Digest, Digest] = {}
        for tag, found in zip(wanted, self._each(self.target.resolve, wanted), strict=True):
            if isinstance(found, RegkitError):
                self.unread[tag] = found.message
            elif found is None:
                missing.append(tag)
            else:
                digest = self.tags[tag] = digests.setdefault(found.digest, found.digest)
                if found.media_type not in mediatype.MANIFESTS and found.media_type not in mediatype.SCHEMA1:
                    self.unread[tag] = f"what {found.media_type!r} refers to isn't known"
                self.known.setdefault(digest, Known(found.media_type, found.size))
        if missing:
            still = frozenset(self.target.tags())
            self.unread.update({tag: "it is listed, and isn't there" for tag in missing if tag in still})

    def follow(self) -> None:
        """Read what the tags lead to, step by step."""
        done: set[Digest] = set()
        frontier = list(dict.fromkeys(self.tags.values()))
        for _ in range(MAX_STEPS if self.ask else MAX_DEPTH + 1):
            done.update(frontier)
            unread = [digest for digest in frontier if self._wants_reading(digest)]
            for digest, found in zip(unread, self._each(self._read, unread), strict=True):
                if isinstance(found, Known):
                    self.known[digest] = found
                    for child in found.children:
                        self.known.setdefault(child, self._listed[child])
                elif isinstance(found, NotFound) and self.known[digest].media_type not in mediatype.INDEXES:
                    self.absent.add(digest)
                else:
                    self.unread[digest] = found.message
            beyond = (other for digest in frontier if digest in self.known for other in self.known[digest].around)
            frontier = [other for other in dict.fromkeys(beyond) if other not in done]
            if not frontier:
                return
        self.unread.update(dict.fromkeys(frontier, "what leads there is too long a chain"))

    def _wants_reading(self, digest: Digest) -> bool:
        known = self.known.setdefault(digest, Known("", 0))
        if known.is_read or known.media_type in mediatype.SCHEMA1:
            return False
        return known.media_type in mediatype.INDEXES or (
            self.ask is not None and (known.media_type in mediatype.IMAGES or not known.media_type)
        )

    def _read(self, digest: Digest) -> Known:
        """Read a manifest, and in a deep census what refers to it."""
        manifest = self.target.manifest(digest)
        children = manifest.manifests
        for child in children:
            self._listed.setdefault(child.digest, Known(child.media_type, child.size))
        subject = manifest.subject if self.ask else None
        return Known(
            manifest.media_type,
            len(manifest.raw),
            tuple(child.digest for child in children),
            next((child.digest for child in children if _is_image(child)), None),
            manifest.annotations.get(CREATED, ""),
            subject.digest if subject else None,
            tuple(self.ask(digest)) if self.ask else (),
            is_read=True,
        )

    def _each(self, ask: Callable[[Item], Result], wanted: Sequence[Item]) -> list[Result | RegkitError]:
        found = outcomes(ask, wanted)
        lost = [each for each in found if isinstance(each, Unavailable)]
        self.failures += len(lost)
        if self.failures > MAX_UNREAD:
            raise lost[0]
        return found


def _is_image(child: Descriptor) -> bool:
    return child.is_manifest and not (child.platform is not None and child.platform.is_unknown)
