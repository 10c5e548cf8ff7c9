"""Tags: listed, set and removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from semver import Version

from regkit.errors import (
    Interrupted,
    NotFound,
    PartlyDone,
    Refused,
    RegkitError,
    UsageError,
    VerificationFailed,
    leave,
)
from regkit.events import TagKept
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference, check_tag
from regkit.ops.guard import TagGuard
from regkit.ops.publication import Publication
from regkit.ops.removal import RemovedTags
from regkit.ops.tasks import AT_ONCE, each
from regkit.ops.untag import Untagger
from regkit.ops.versions import version_of
from regkit.targets.repository import Repository
from regkit.transport.session import Session

MANY = 10
"""How many failures a message names."""


def list_tags(session: Session, repository: Reference, *, sort: str = "", digest: Digest | None = None) -> list[str]:
    """List tags in the registry's order, or with `sort` by "name", or by "semver": the highest version first.

    With `digest`, only those that stand on it. Raise NotFound for a repository that has none.
    """
    target = Repository(session, repository)
    tags = list(target.tags())
    if not tags:
        raise NotFound(f"{repository.name} has no tags", hint="it doesn't exist, or nothing was tagged in it")
    if digest is not None:
        found = each(target.resolve, tags)
        tags = [tag for tag, there in zip(tags, found, strict=True) if there is not None and there.digest == digest]
    if sort == "name":
        return sorted(tags)
    return _by_version(tags) if sort == "semver" else tags


@dataclass(frozen=True, slots=True)
class TagsSet:
    """Tags of a repository that stand on a digest now."""

    name: str
    digest: Digest
    tags: tuple[str, ...]


def set_tags(session: Session, source: Reference, tags: Sequence[str]) -> Digest:
    """Put `tags`, in order, on what `source` names; each is read back.

    Raise NotFound, and Refused where somebody else moved one at the same time; give the digest. Where some stand on it
    by the time that something is raised, the error's `done` is a TagsSet.
    """
    wanted = [check_tag(tag) for tag in dict.fromkeys(tags)]
    repository = Repository(session, source)
    manifest = repository.manifest(source.identifier)
    publication = Publication(session, repository, manifest, ())
    standing = each(repository.resolve, wanted)
    moves = [(tag, there.digest if there else None) for tag, there in zip(wanted, standing, strict=True)]
    try:
        lost = publication.tag(moves)
        if lost is not None:
            raise lost
    except (RegkitError, KeyboardInterrupt) as error:
        if publication.tags:
            leave(error, TagsSet(source.name, manifest.digest, publication.tags))
        raise
    return manifest.digest


@dataclass(frozen=True, slots=True)
class Removal:
    """A tag that is to be removed, and what it stands on; None where it's gone already."""

    reference: Reference
    digest: Digest | None


def plan_removal(session: Session, references: Iterable[Reference]) -> tuple[Removal, ...]:
    """Look up what is to be removed; raise UsageError for a reference that names no tag, or a digest."""
    wanted = tuple(dict.fromkeys(references))
    for reference in wanted:
        if reference.tag is None or reference.digest is not None:
            raise UsageError(f"{reference} doesn't name a tag", hint="write registry/repository:tag")
    found = each(lambda reference: Repository(session, reference).resolve(reference.identifier), wanted, AT_ONCE)
    return tuple(Removal(r, there.digest if there else None) for r, there in zip(wanted, found, strict=True))


def remove_tags(
    session: Session,
    removals: Iterable[Removal],
    *,
    force: bool = False,
) -> None:
    """Remove tags and nothing else, side by side: by the specification's way, the vendor's, or a proven stand-in.

    A registry that takes what the tag stood on along, and with it other tags, gets all of that back. Where only a tag
    protects an image that something else needs, as on distribution 2.x, it stays, unless `force` is set. What the
    vendor says is immutable is Refused before anything is removed. Raise Refused where none could be removed,
    PartlyDone where some were, Unavailable where a vendor's API can't be asked now. Where some were, the error's `done`
    has their Removals.
    """
    groups: dict[str, list[Removal]] = {}
    for removal in removals:
        if removal.digest is None:
            session.report(TagKept(str(removal.reference.tag), "it isn't there"))
        else:
            groups.setdefault(removal.reference.name, []).append(removal)
    failed: dict[str, RegkitError] = {}
    work = [_removing(session, group, force=force) for group in groups.values()]
    for removing in work:
        _check_immutable(removing)
    try:
        for removing in work:
            try:
                removing.run()
            except Interrupted:
                raise
            except RegkitError as error:
                failed[removing.untagger.repository.name] = error
            failed |= removing.failed
        raise_failures(sum(len(removing.removed) for removing in work), failed)
    except (RegkitError, KeyboardInterrupt) as error:
        told = zip(groups.values(), work, strict=True)
        done = tuple(each for group, removing in told for each in group if each.reference.tag in removing.removed)
        leave(error, done or None)
        raise


def raise_failures(done: int, failed: Mapping[str, RegkitError]) -> None:
    """Raise what went wrong with some of many: that itself, or PartlyDone where others went well.

    What is missing afterwards weighs more than what couldn't be done.
    """
    if not failed:
        return
    errors = sorted(failed.values(), key=lambda error: not isinstance(error, VerificationFailed))
    if isinstance(errors[0], VerificationFailed):
        raise errors[0]
    if len(errors) == 1 and not done:
        raise errors[0]
    messages = list(dict.fromkeys(error.message for error in errors))
    said = "; ".join(messages[:MANY]) + (f"; and {len(messages) - MANY} more" if len(messages) > MANY else "")
    if done:
        raise PartlyDone(f"{done} removed, but not all went well: {said}", hint=errors[0].hint)
    alike = errors[0] if len({type(error) for error in errors}) == 1 else Refused("")
    raise type(alike)(f"none was removed: {said}", hint=errors[0].hint)


def _removing(session: Session, group: Sequence[Removal], *, force: bool) -> RemovedTags:
    untagger = Untagger(session, group[0].reference)
    going = {str(each.reference.tag): each.digest for each in group if each.digest is not None}
    if not force:
        untagger.guard = TagGuard(untagger.repository, going).guard
    return RemovedTags(session, untagger, going)


def _check_immutable(removing: RemovedTags) -> None:
    immutable = removing.untagger.immutable(removing.going)
    row = removing.untagger.row
    if immutable and row is not None:
        names = ", ".join(sorted(immutable)[:MANY]) + (" and others" if len(immutable) > MANY else "")
        raise Refused(
            f"nothing was removed: in {removing.untagger.repository.name} immutable is {names}, by {row.immutable}",
            hint="leave it out, or change the registry's rule for immutable tags first, if it's meant to go",
        )


def _by_version(tags: Iterable[str]) -> list[str]:
    versions: dict[str, Version] = {}
    others = []
    for tag in tags:
        version = version_of(tag)
        if version is None:
            others.append(tag)
        else:
            versions[tag] = version
    return sorted(versions, key=versions.__getitem__, reverse=True) + sorted(others)
