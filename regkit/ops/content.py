"""Content: single manifests and blobs, found, read, written and removed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from regkit.errors import ContentMismatch, NotFound, ProtocolError, Refused, UnexpectedStatus, UsageError
from regkit.events import Note
from regkit.files import cant_write, write_whole
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.reference import Reference
from regkit.ops.resolve import at_digest
from regkit.ops.tasks import each
from regkit.protocol.flow import Bytes, Source
from regkit.targets.location import Location
from regkit.targets.target import Target, digest_or_none
from regkit.transport.session import Session

BLOB = "application/octet-stream"
"""The media type of a blob of which only the digest is known."""

_PIECE = 1 << 20


def read_document(raw: bytes, media_type: str | None = None) -> Manifest:
    """Take bytes as a manifest that is to be pushed; raise UsageError where its kind isn't clear or contradicted."""
    if media_type is not None and media_type not in mediatype.MANIFESTS:
        raise UsageError(
            f"{media_type!r} isn't the media type of a manifest",
            hint=f"known are {', '.join(sorted(mediatype.MANIFESTS))}",
        )
    if not raw.strip():
        raise UsageError("this can't be pushed: the document is empty", hint="give a manifest, as `manifest get` does")
    try:
        manifest = Manifest.parse(raw)
        document = manifest.document
    except ProtocolError as error:
        raise UsageError(f"this can't be pushed: {error.message}") from None
    if not document.get("mediaType"):
        if media_type is None and not {"manifests", "config"} & document.keys():
            raise UsageError("the document doesn't tell what it is", hint="add --media-type")
        return Manifest(media_type or manifest.media_type, raw)
    if media_type not in (None, manifest.media_type):
        raise UsageError(f"the document says it is {manifest.media_type}, not {media_type}")
    if manifest.media_type not in mediatype.MANIFESTS:
        raise UsageError(f"the document says it is {manifest.media_type!r}, which is no manifest that registries take")
    return manifest


def put_manifest(session: Session, location: Location, manifest: Manifest) -> Digest:
    """Write a manifest's bytes under the tag that `location` names, or by digest where it names none.

    Raise ContentMismatch, before anything is sent, where it names a digest that the bytes don't have; NotFound where
    what the manifest lists isn't there.
    """
    try:
        _ = manifest.blobs, manifest.manifests, manifest.subject
    except ProtocolError as error:
        raise UsageError(
            f"this can't be pushed: {error.message}",
            hint="what a manifest names, it names by mediaType, digest and size",
        ) from None
    tag, digest = _names(location)
    if digest is not None and Digest.of(manifest.raw, digest.algorithm) != digest:
        raise ContentMismatch(
            f"the document has the digest {manifest.digest}, not {digest}",
            hint="its bytes count: a blank more is another digest; without one in the name it is put by its own",
        )
    with location.open(session, create=True) as target:
        descriptor = Descriptor(manifest.media_type, digest or manifest.digest, len(manifest.raw))
        try:
            target.push(descriptor, Bytes(manifest.raw), tag)
        except (NotFound, UnexpectedStatus) as error:  # Docker's registry answers 400, others 404
            if "MANIFEST_BLOB_UNKNOWN" not in error.message:
                raise
            hint = "what it lists comes first: `regkit blob put`, `regkit manifest put`, or `regkit copy` for all of it"
            raise NotFound(error.message, hint=hint) from None
    return descriptor.digest


@dataclass(frozen=True, slots=True)
class Deletion:
    """A manifest that is to be removed; None where it's gone already. With it go `tags`; `parents` would break."""

    location: Location
    descriptor: Descriptor | None
    tags: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()


def plan_deletion(session: Session, locations: Iterable[Location]) -> tuple[Deletion, ...]:
    """Look up what stands on each manifest; raise UsageError for a location that names no digest.

    All tags of a place are asked for, and every index among them is read: once for all locations in it.
    """
    wanted = tuple(dict.fromkeys(locations))
    for location in wanted:
        tag, digest = _names(location)
        if digest is None or tag is not None:
            raise UsageError(
                f"{location} names a tag: deleting what it stands on would take every other tag on it along",
                hint=f"`regkit tag rm {location}` removes the tag alone; for the manifest write REPOSITORY@DIGEST",
            )
    standing: dict[object, dict[str, Manifest | Descriptor]] = {}
    plans = []
    for location in wanted:
        digest = Digest(location.identifier or "")
        with location.open(session, mirrors=False) as target:
            descriptor = target.resolve(digest)
            place = location.place.name if isinstance(location.place, Reference) else location.place
            if place not in standing:
                standing[place] = _standing(target)
            tags = tuple(tag for tag, there in standing[place].items() if there.digest == digest)
            parents = tuple(
                tag
                for tag, there in standing[place].items()
                if isinstance(there, Manifest) and any(child.digest == digest for child in there.manifests)
            )
        plans.append(Deletion(location, descriptor, tags, parents))
    return tuple(plans)


def delete_manifests(session: Session, deletions: Iterable[Deletion]) -> None:
    """Remove manifests, each with every tag on it; raise Refused where the target can't."""
    for deletion in deletions:
        if deletion.descriptor is None:
            session.report(Note(f"{deletion.location} isn't there"))
            continue
        with deletion.location.open(session, mirrors=False) as target:
            # A manifest whatever type it says it has: a blob is nothing that was looked up here.
            if not target.delete(replace(deletion.descriptor, media_type=mediatype.OCI_MANIFEST)):
                raise Refused(
                    f"{deletion.location} stays: the registry doesn't delete it",
                    hint="deletes are switched off there, or something that stays needs it",
                )
        session.report(Note(f"removed {deletion.location}"))


def find_blob(session: Session, location: Location) -> Descriptor:
    """Tell the size of the blob that `location` names by its digest; raise NotFound."""
    _, digest = _names(location)
    if digest is None:
        raise UsageError(f"{location} doesn't name a blob", hint="write REPOSITORY@sha256:…")
    with location.open(session) as target:
        size = target.size(digest)
    if size is None:
        hint = "check the digest, and that this login may see it; `regkit manifest get` reads a manifest"
        raise NotFound(f"{at_digest(location, digest)} isn't there: no blob has this digest", hint=hint)
    return Descriptor(BLOB, digest, size)


@contextmanager
def opened_blob(session: Session, location: Location) -> Iterator[BinaryIO]:
    """Open the blob that `location` names; reading it raises ContentMismatch where it isn't what it should be."""
    descriptor = find_blob(session, location)
    with location.open(session) as target, target.fetch(descriptor).open() as stream:
        yield stream


def save_blob(session: Session, location: Location, path: Path) -> None:
    """Write a blob to a file that is there whole or not at all; raise UsageError where it can't be written.

    A symbolic link is followed; what is no plain file, a pipe say, is written as it is.
    """
    with opened_blob(session, location) as stream:
        pieces = iter(lambda: stream.read(_PIECE), b"")
        if path.is_file() or not path.exists():
            write_whole(path.resolve(), pieces)
            return
        try:
            with path.open("wb") as output:
                output.writelines(pieces)
        except OSError as error:
            raise cant_write(path, error) from None


def push_blob(session: Session, location: Location, source: Source) -> Digest:
    """Send a blob; give its digest. The source is read twice: for its digest, and to be sent."""
    if isinstance(location.place, Reference):
        named = location.place.tag or location.place.digest
    else:
        named = location.identifier
    if named:
        raise UsageError(f"{location} names more than a repository", hint="a blob is named by its digest alone")
    with source.open() as stream:
        descriptor = Descriptor(BLOB, Digest.read(stream), source.size)
    with location.open(session, create=True) as target:
        target.push(descriptor, source)
    return descriptor.digest


def _names(location: Location) -> tuple[str | None, Digest | None]:
    """Give the tag and the digest that are written in a location; the tag `latest` isn't added to either."""
    if isinstance(location.place, Reference):
        return location.place.tag, location.place.digest
    digest = digest_or_none(location.identifier or "")
    return None if digest else location.identifier, digest


def _standing(target: Target) -> dict[str, Manifest | Descriptor]:
    """Tell what every tag stands on: an index with its children, of all else the descriptor."""

    def read(tag: str) -> Manifest | Descriptor | None:
        there = target.resolve(tag)
        return target.manifest(there.digest) if there is not None and there.is_index else there

    tags = target.tags()
    return {tag: there for tag, there in zip(tags, each(read, tags), strict=True) if there is not None}
