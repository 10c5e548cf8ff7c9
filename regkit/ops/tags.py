"""Tags: listed, set and removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from semver import Version

from regkit.errors import ContentMismatch, NotFound, ProtocolError, Refused, UsageError
from regkit.events import Note, TagKept, TagRemoved
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.reference import Reference, check_tag
from regkit.ops.publication import Publication
from regkit.ops.tasks import each
from regkit.ops.versions import version_of
from regkit.protocol.flow import Bytes
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
    """Put `tags`, in order, on what `source` names; each is read back.

    Raise NotFound, and Refused where somebody else moved one at the same time; give the digest.
    """
    wanted = [check_tag(tag) for tag in dict.fromkeys(tags)]
    repository = Repository(session, source)
    manifest = repository.manifest(source.identifier)
    publication = Publication(session, repository, manifest, ())
    standing = each(repository.resolve, wanted)
    lost = publication.tag((tag, there.digest if there else None) for tag, there in zip(wanted, standing, strict=True))
    if lost is not None:
        raise lost
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
    """Remove tags by the specification's way, which touches nothing else; raise Refused where a registry can't.

    A registry that takes what the tag stood on along, and with it other tags, gets all of that back.
    """
    listed: dict[str, tuple[str, ...]] = {}
    for removal in removals:
        reference, digest = removal.reference, removal.digest
        assert reference.tag is not None
        if digest is None:
            session.report(TagKept(reference.tag, "it isn't there"))
            continue
        repository = Repository(session, reference)
        manifest = _read(repository, digest)
        if reference.name not in listed:
            listed[reference.name] = repository.tags()
        if not repository.untag(reference.tag):
            raise Refused(
                f"{reference} stays: {reference.registry} can't remove a tag alone",
                hint="deleting by digest would take every tag on it, so regkit doesn't",
            )
        session.report(TagRemoved(str(reference)))
        listed[reference.name] = tuple(tag for tag in listed[reference.name] if tag != reference.tag)
        if manifest is not None:
            _put_back(session, repository, Descriptor(manifest.media_type, digest, len(manifest.raw)), manifest, listed)


def _read(repository: Repository, digest: Digest) -> Manifest | None:
    """Read what a tag stands on, in case it has to be put back; None for what isn't a manifest of today."""
    try:
        manifest = repository.manifest(digest)
    except (NotFound, ProtocolError, ContentMismatch):
        return None
    return manifest if manifest.media_type in mediatype.MANIFESTS else None


def _put_back(
    session: Session,
    repository: Repository,
    descriptor: Descriptor,
    manifest: Manifest,
    listed: Mapping[str, Sequence[str]],
) -> None:
    """Push what went with its tag, and set the tags of `listed` that went with it."""
    if repository.exists(descriptor):
        return
    left = repository.tags()
    lost = [tag for tag in listed[repository.name] if tag not in left]
    what = ", ".join((descriptor.digest, *lost))
    session.report(Note(f"{repository.name} took {what} along with the tag; it is put back", warning=True))
    for name in (None, *lost):
        repository.push(descriptor, Bytes(manifest.raw), name)


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
