"""Tags: listed, set and removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from semver import Version

from regkit.errors import NotFound, Refused, UsageError
from regkit.events import TagKept, TagRemoved
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference, check_tag
from regkit.ops.publication import Publication
from regkit.ops.tasks import each
from regkit.ops.versions import version_of
from regkit.targets.repository import Repository
from regkit.transport.session import Session


def list_tags(session: Session, repository: Reference, *, sort: str = "", digest: Digest | None = None) -> list[str]:
    """List tags in the registry's order, by `name`, or by `semver`: versions, the highest first, then the rest.

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


def set_tags(session: Session, source: Reference, tags: Sequence[str]) -> Digest:
    """Put `tags`, in order, on what `source` names; each is read back. Raise NotFound; give the digest."""
    wanted = [check_tag(tag) for tag in dict.fromkeys(tags)]
    repository = Repository(session, source)
    manifest = repository.manifest(source.identifier)
    publication = Publication(session, repository, manifest, ())
    standing = each(repository.resolve, wanted)
    publication.tag((tag, there.digest if there else None) for tag, there in zip(wanted, standing, strict=True))
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
    found = each(lambda reference: Repository(session, reference).resolve(reference.identifier), wanted)
    return tuple(Removal(r, there.digest if there else None) for r, there in zip(wanted, found, strict=True))


def remove_tags(session: Session, removals: Iterable[Removal]) -> None:
    """Remove tags by the specification's way, which touches nothing else; raise Refused where a registry can't."""
    for removal in removals:
        reference = removal.reference
        assert reference.tag is not None
        if removal.digest is None:
            session.report(TagKept(reference.tag, "it isn't there"))
            continue
        if not Repository(session, reference).untag(reference.tag):
            raise Refused(
                f"{reference} stays: {reference.registry} can't remove a tag alone",
                hint="deleting by digest would take every tag on it, so regkit doesn't",
            )
        session.report(TagRemoved(str(reference)))


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
