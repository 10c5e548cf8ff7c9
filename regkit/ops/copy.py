"""Copy: from any target to any target, byte for byte; content first, names last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from regkit.errors import NotFound, RegkitError, UsageError, leave
from regkit.events import Note, StageStarted, TagKept
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.entries import choose_platforms, strip_attestations
from regkit.ops.graph import Node, read_node, walk
from regkit.ops.naming import Naming, put_names
from regkit.ops.places import as_name, check_no_name, destination_name, place_name, source_name
from regkit.ops.tasks import AT_ONCE, CONCURRENCY, ahead, each
from regkit.ops.transfer import Transfer
from regkit.targets.location import Location
from regkit.targets.repository import Repository
from regkit.targets.target import Target
from regkit.transport.session import Session

_STANDS = "it stands there already"
_BLOBS = 4
"""How many blobs an image is taken to have, before it is read."""


class CopySpec(NamedTuple):
    """What is copied, and how: what `source` names, with `all_tags` all that has a tag.

    Of all tags only those go along that the regular expression `match` matches as a whole, where there is one.
    Of an index only the images for `platforms` go along, where any are named, with `strip_attestations` without what
    attests them: it is another index then, with another digest. `referrers` takes along what refers to any of it.
    `no_clobber` leaves tags alone that stand on something else; `force` asks for all content, also where the tag stands
    on its digest already.
    """

    source: Location
    destination: Location
    platforms: tuple[Platform, ...] = ()
    referrers: bool = False
    all_tags: bool = False
    no_clobber: bool = False
    force: bool = False
    strip_attestations: bool = False
    match: str | None = None


class Outcome(NamedTuple):
    """A name at the destination, None where there is only the digest; `kept` says why it wasn't written."""

    tag: str | None
    digest: Digest
    previous: Digest | None = None
    kept: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return {"tag": self.tag, "digest": self.digest, "previous": self.previous, "kept": self.kept or None}


class CopyResult(NamedTuple):
    """What is at the destination now, or would be; and the content that wasn't there before."""

    source: Location
    destination: Location
    outcomes: tuple[Outcome, ...]
    manifests: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]
    partly: bool = False
    """Whether it ended before all tags were written; then `outcomes` has those that stand."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names to pull by, with the tag where many were to be copied."""
        many = self.partly or len(self.outcomes) > 1
        name = place_name(self.destination)
        return tuple(f"{name}{f':{o.tag}' if many else ''}@{o.digest}" for o in self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""
        return {
            "schema": 1,
            "source": place_name(self.source),
            "destination": place_name(self.destination),
            "tags": [outcome.to_json() for outcome in self.outcomes],
            "manifests": [descriptor.to_json() for descriptor in self.manifests],
            "blobs": [descriptor.to_json() for descriptor in self.blobs],
        }


def copy(session: Session, spec: CopySpec, *, dry_run: bool = False) -> CopyResult:
    """Copy what `spec.source` names, or all its tags; with `dry_run` only say what would be.

    No tag is written before all content is there. A manifest that is there isn't sent again, and its blobs aren't
    asked for. Raise NotFound where the source lacks something, UsageError, Refused for what can't be copied. Where tags
    of a repository were written by the time that something is raised, the error's `done` is a CopyResult with those.
    """
    if spec.match is not None:
        _check_match(spec, spec.match)
    with ExitStack() as stack:
        source = stack.enter_context(spec.source.open(session))
        destination = spec.destination.open(session, create=True)
        if not dry_run:
            stack.enter_context(destination)
        return _Copy(session, spec, source, destination).run(dry_run=dry_run)


class _Wish(NamedTuple):
    """A name at the source, and what it is to be called at the destination; `tag` None: only its digest."""

    name: str
    tag: str | None
    expected: Digest | None = None


class _Copy:
    """One copy under way."""

    def __init__(self, session: Session, spec: CopySpec, source: Target, destination: Target) -> None:
        self._session, self._spec = session, spec
        self._source, self._destination = source, destination
        self._new = False
        """Whether the destination has no tags at all: then nothing is asked for beforehand."""

    def run(self, *, dry_run: bool) -> CopyResult:
        """Look, decide, then act."""
        self._session.report(StageStarted("plan", f"reading {place_name(self._spec.source)}"))
        mirrored = ahead(self._destination.tags) if self._spec.all_tags else None
        # A layout is read at once: the question is asked beside the first one, and else beside reading the source.
        local = not isinstance(self._source, Repository)
        blank = ahead(self._is_blank) if local and not mirrored else None
        wishes = self._wishes()
        if local and not mirrored and not dry_run:
            ahead(lambda: self._open_ahead_for(wishes[0]))
        standing = self._standing(wishes, mirrored() if mirrored else None)
        if not (mirrored or blank or standing):
            blank = ahead(self._is_blank)
        kept, left = self._settle(wishes, standing)
        nodes = self._read([wish.name for wish in left])
        self._check(left, nodes)
        namings, more = _decide(self._spec, left, nodes, standing)
        outcomes = {outcome.tag: outcome for outcome in (*kept, *more)}
        for outcome in outcomes.values():
            if outcome.kept:
                self._session.report(TagKept(str(outcome.tag), outcome.kept))
        roots = [node for node, outcome in zip(nodes, more, strict=True) if outcome.digest == node.descriptor.digest]
        if not local and not dry_run:
            ahead(lambda: self._open_ahead(_BLOBS * len(_images(roots)) or len(roots)))
        graph = walk(self._source, roots, referrers=self._spec.referrers)
        for node in graph.nodes:
            refusal = self._destination.refuses(node.manifest)
            if refusal is not None:
                raise refusal
        if blank is not None:
            self._new = blank() and not standing
        transfer = Transfer(self._session, self._source, self._destination, new=self._new)
        absent = transfer.absent(graph.nodes)
        blobs = transfer.blobs_of(absent)
        if dry_run:
            blobs = transfer.absent_blobs(blobs)
        else:
            self._session.report(StageStarted("push", f"copying to {place_name(self._spec.destination)}"))
            blobs = transfer.bring_blobs(blobs)
            transfer.bring_manifests(graph, absent, [naming.node for naming in namings])
        made = CopyResult(
            self._spec.source,
            self._spec.destination,
            tuple(outcomes[wish.tag] for wish in wishes),
            tuple(node.descriptor for node in absent),
            tuple(blobs),
        )
        return made if dry_run else self._name(namings, made)

    def _name(self, namings: Sequence[Naming], made: CopyResult) -> CopyResult:
        """Write the names; give what is there then. What is raised has in its `done` what stands."""
        written: list[str] = []
        try:
            taken = put_names(
                self._session, self._destination, namings, written, ordered=False, keeping=self._spec.no_clobber
            )
        except (RegkitError, KeyboardInterrupt) as error:
            stand = tuple(outcome for outcome in made.outcomes if outcome.kept or outcome.tag in written)
            if stand and isinstance(self._destination, Repository):  # other places take all names at the end, or none
                leave(error, made._replace(outcomes=stand, partly=True))
            raise
        outcomes = (self._left(str(o.tag), taken[str(o.tag)]) if o.tag in taken else o for o in made.outcomes)
        return made._replace(outcomes=tuple(outcomes))

    def _left(self, tag: str, digest: Digest) -> Outcome:
        """Say of a tag that somebody else wrote meanwhile that it is left as it is."""
        outcome = _occupied(tag, digest)
        self._session.report(TagKept(tag, outcome.kept))
        return outcome

    def _is_blank(self) -> bool:
        return isinstance(self._destination, Repository) and self._destination.is_blank()

    def _open_ahead(self, blobs: int) -> None:
        """Connect to where blobs will go while the rest of the manifests is read."""
        place = self._spec.destination.place
        if isinstance(place, Reference):
            each(self._session.open_ahead, [place.registry] * min(CONCURRENCY, blobs))

    def _open_ahead_for(self, wish: _Wish) -> None:
        """Connect to where the blobs of a layout's image will go while the registry is asked about its tag."""
        nodes = walk(self._source, [self._read_one(wish.name)]).nodes
        self._open_ahead(len({blob.digest for node in nodes for blob in node.blobs}))

    def _wishes(self) -> list[_Wish]:
        spec = self._spec
        if not spec.all_tags:
            name, tag = source_name(self._source, spec.source)
            return [_Wish(name, *destination_name(spec.destination, tag))]
        for location in (spec.source, spec.destination):
            check_no_name(location)
        tags = self._source.tags()
        if not tags:
            raise NotFound(
                f"{place_name(spec.source)} has no tags", hint="it doesn't exist, or nothing is tagged in it"
            )
        chosen = tags if spec.match is None else _matching(spec, tags)
        return [_Wish(tag, as_name(spec.destination, tag)) for tag in chosen]

    def _standing(self, wishes: Sequence[_Wish], there: Sequence[str] | None) -> dict[str, Digest]:
        """Tell where the tags that are to be written stand at the destination, whose tags may be known."""
        tags = [wish.tag for wish in wishes if wish.tag is not None]
        if there is not None:
            self._new = not there
            tags = [tag for tag in tags if tag in set(there)]
        found = each(self._destination.resolve, tags, AT_ONCE)
        return {tag: at.digest for tag, at in zip(tags, found, strict=True) if at is not None}

    def _settle(self, wishes: Sequence[_Wish], standing: dict[str, Digest]) -> tuple[list[Outcome], list[_Wish]]:
        """Part the tags that need no reading: HEAD costs no pull at a hub, where GET does."""
        if self._spec.platforms or self._spec.strip_attestations or self._spec.referrers or self._spec.force:
            return [], list(wishes)
        asked = [wish for wish in wishes if wish.tag in standing and wish.expected is None]
        at_source = dict(zip(asked, each(lambda wish: self._source.resolve(wish.name), asked, AT_ONCE), strict=True))
        kept, left = [], []
        for wish in wishes:
            found = at_source.get(wish)
            outcome = found and wish.tag and _keep(self._spec, wish.tag, found.digest, standing)
            if outcome:
                kept.append(outcome)
            else:
                left.append(wish)
        return kept, left

    def _read(self, names: Sequence[str]) -> list[Node]:
        """Read what is named, and leave only the platforms that are asked for, with their attestations or without."""
        nodes = each(self._read_one, names, AT_ONCE)
        return [self._choose(name, node) for name, node in zip(names, nodes, strict=True)]

    def _choose(self, name: str, node: Node) -> Node:
        spec, rest = self._spec, node
        if spec.platforms:
            rest = choose_platforms(self._source, f"{place_name(spec.source)} ({name})", node, spec.platforms)
        if spec.strip_attestations:
            rest = strip_attestations(self._source, rest)
        if rest is not node:
            only = ", ".join(map(str, spec.platforms)) or "the images"
            new, old = rest.descriptor.digest, node.descriptor.digest
            self._session.report(Note(f"the index for only {only} is {new}, where the whole one is {old}"))
        return rest

    def _read_one(self, name: str) -> Node:
        # A registry's tags stand on sha256; a layout says itself on what its names do.
        there = None if isinstance(self._source, Repository) else self._source.resolve(name)
        return read_node(self._source, there.digest if there else name)

    def _check(self, wishes: Sequence[_Wish], nodes: Sequence[Node]) -> None:
        for wish, node in zip(wishes, nodes, strict=True):
            if wish.expected not in (None, node.descriptor.digest):
                raise UsageError(
                    f"{self._spec.destination} names a digest, but what is to be copied is {node.descriptor.digest}",
                    hint="leave the digest out, or name a tag",
                )


def _check_match(spec: CopySpec, expression: str) -> None:
    """Raise UsageError where there is nothing to choose from, or by nothing that can be read."""
    if not spec.all_tags:
        raise UsageError(
            "--match chooses among all tags, and only what SRC names is to be copied", hint="add --all-tags"
        )
    try:
        re.compile(expression)
    except re.error as error:
        raise UsageError(f"not a regular expression: {error}: {expression[:80]!r}") from None


def _matching(spec: CopySpec, tags: Sequence[str]) -> list[str]:
    """Choose the tags that match; raise NotFound where there are none."""
    from regkit.ops.retention import matches

    chosen = [tag for tag in tags if matches(spec, tag)]
    if not chosen:
        raise NotFound(
            f"{place_name(spec.source)} has no tag that matches {spec.match!r}",
            hint=f"the expression has to match a whole tag, as {tags[0]!r}",
        )
    return chosen


def _images(roots: Sequence[Node]) -> set[Digest]:
    return {child.digest for root in roots for child in root.children}


def _keep(spec: CopySpec, tag: str, digest: Digest, standing: dict[str, Digest]) -> Outcome | None:
    """Decide whether a tag is left as it is, and why; None where it is to be written."""
    there = standing.get(tag)
    if there == digest and not spec.force:
        return Outcome(tag, digest, there, _STANDS)
    if there is not None and there != digest and spec.no_clobber:
        return _occupied(tag, there)
    return None


def _occupied(tag: str, there: Digest) -> Outcome:
    return Outcome(tag, there, there, f"it stands on {there}, and nothing is to be replaced")


def _decide(
    spec: CopySpec, wishes: Sequence[_Wish], nodes: Sequence[Node], standing: dict[str, Digest]
) -> tuple[list[Naming], list[Outcome]]:
    """Decide for each name that was read whether it is written; give those, and what comes of all."""
    namings: list[Naming] = []
    outcomes: list[Outcome] = []
    for wish, node in zip(wishes, nodes, strict=True):
        digest = node.descriptor.digest
        if wish.tag is None:
            outcomes.append(Outcome(None, digest))
            continue
        kept = _keep(spec, wish.tag, digest, standing)
        outcomes.append(kept or Outcome(wish.tag, digest, standing.get(wish.tag)))
        if kept is None:
            namings.append(Naming(wish.tag, node, standing.get(wish.tag)))
    return namings, outcomes
