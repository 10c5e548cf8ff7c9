"""What a repository's tags refer to: each manifest read once, side by side, and only where its media type has to.

An image refers to no other manifest, so HEAD is enough for it; an index is read. What is kept of each is what it
refers to, not its bytes: the memory goes with the number of manifests, whatever the number of tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from regkit.errors import AccessDenied, Interrupted, RegkitError, Unavailable
from regkit.oci import mediatype
from regkit.oci.annotation import CREATED
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.ops.graph import AT_ONCE, MAX_DEPTH
from regkit.ops.tasks import each
from regkit.protocol.referrers import fallback_tag
from regkit.targets.target import Target

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_UNREAD = 32
"""How many requests may fail before it is the registry that fails, and not what was asked for."""

_SCHEMA1 = (mediatype.DOCKER_SCHEMA1, mediatype.DOCKER_SCHEMA1_SIGNED)
_COMPANION = re.compile(r"(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{64})[0-9a-f]*(?:\.(sig|att|sbom))?")
_KINDS = {"sig": "a signature", "att": "an attestation", "sbom": "an SBOM", None: "the list of referrers"}


class Known(NamedTuple):
    """A manifest: media type and size, and of an index what it lists: the digests, and the first image.

    `created` is what an index says of when it was made, as it stands there.
    """

    media_type: str
    size: int
    children: tuple[Digest, ...] = ()
    image: Digest | None = None
    created: str = ""

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

    `unread` are the tags and digests that couldn't be read, with the reason: what they refer to isn't known.
    """

    tags: Mapping[str, Digest]
    known: Mapping[Digest, Known]
    unread: Mapping[str, str] = field(default_factory=dict)

    def closure(self, roots: Mapping[Digest, str]) -> dict[Digest, str]:
        """Give all that `roots` lead to, down their children: each with the name of the root that leads there."""
        found = dict(roots)
        waiting = list(roots)
        while waiting:
            digest = waiting.pop()
            known = self.known.get(digest)
            for child in known.children if known else ():
                if child not in found:
                    found[child] = found[digest]
                    waiting.append(child)
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


def read_census(target: Target, before: Census | None = None, tags: Iterable[str] | None = None) -> Census:
    """Look where all tags stand, and read the indexes among what they lead to; what `before` knows isn't read again.

    With `tags`, only those. What can't be read is in `unread`, and so is a tag that is listed and isn't there. Raise
    AccessDenied, and Unavailable for a registry that can't be asked at all.
    """
    reading = _Reading(target, dict(before.known) if before else {})
    reading.resolve(target.tags() if tags is None else tuple(tags))
    reading.descend()
    return Census(reading.tags, reading.known, reading.unread)


@dataclass
class _Reading:
    target: Target
    known: dict[Digest, Known]
    tags: dict[str, Digest] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    failures: int = 0

    def resolve(self, listed: Iterable[str]) -> None:
        wanted = list(listed)
        missing = []
        digests: dict[Digest, Digest] = {}
        for tag, found in zip(wanted, self._each(self.target.resolve, wanted), strict=True):
            if isinstance(found, RegkitError):
                self.unread[tag] = found.message
            elif found is None:
                missing.append(tag)
            else:
                digest = self.tags[tag] = digests.setdefault(found.digest, found.digest)
                if found.media_type not in mediatype.MANIFESTS and found.media_type not in _SCHEMA1:
                    self.unread[tag] = f"what {found.media_type!r} refers to isn't known"
                self.known.setdefault(digest, Known(found.media_type, found.size))
        if missing:
            still = frozenset(self.target.tags())
            self.unread.update({tag: "it is listed, and isn't there" for tag in missing if tag in still})

    def descend(self) -> None:
        """Read the indexes, level by level."""
        done: set[Digest] = set()
        frontier = list(dict.fromkeys(self.tags.values()))
        for _ in range(MAX_DEPTH + 1):
            done.update(frontier)
            indexes = [digest for digest in frontier if self._is_unread_index(digest)]
            for digest, found in zip(indexes, self._each(self.target.manifest, indexes), strict=True):
                self._take(digest, found)
            below = (child for digest in frontier if digest in self.known for child in self.known[digest].children)
            frontier = [child for child in dict.fromkeys(below) if child not in done]
            if not frontier:
                return
        self.unread.update(dict.fromkeys(frontier, f"it lies more than {MAX_DEPTH} indexes deep"))

    def _is_unread_index(self, digest: Digest) -> bool:
        known = self.known.get(digest)
        return known is not None and known.media_type in mediatype.INDEXES and not known.children

    def _take(self, digest: Digest, found: Manifest | RegkitError) -> None:
        try:
            if isinstance(found, RegkitError):
                raise found
            children = found.manifests
        except RegkitError as error:
            self.unread[digest] = error.message
            return
        for child in children:
            self.known.setdefault(child.digest, Known(child.media_type, child.size))
        digests = tuple(child.digest for child in children)
        image = next((child.digest for child in children if _is_image(child)), None)
        self.known[digest] = Known(found.media_type, len(found.raw), digests, image, found.annotations.get(CREATED, ""))

    def _each(self, ask: Callable[[Item], Result], wanted: list[Item]) -> list[Result | RegkitError]:
        found = outcomes(ask, wanted)
        lost = [each for each in found if isinstance(each, Unavailable)]
        self.failures += len(lost)
        if self.failures > MAX_UNREAD:
            raise lost[0]
        return found


def _is_image(child: Descriptor) -> bool:
    return child.is_manifest and not (child.platform is not None and child.platform.is_unknown)


def outcomes(
    ask: Callable[[Item], Result], wanted: Iterable[Item], concurrency: int = AT_ONCE
) -> list[Result | RegkitError]:
    """Do something for every item, side by side; give what came, or what went wrong with that one.

    Raise AccessDenied and Interrupted: those aren't about one item.
    """

    def attempt(item: Item) -> Result | RegkitError:
        try:
            return ask(item)
        except (AccessDenied, Interrupted):
            raise
        except RegkitError as error:
            return error

    return each(attempt, wanted, concurrency)
