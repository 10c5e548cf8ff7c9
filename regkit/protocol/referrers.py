"""Referrers: what refers to a manifest, from the API or the fallback tag (distribution-spec, Listing Referrers)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

from regkit.errors import ContentMismatch, NotFound, ProtocolError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest, canonical_json
from regkit.protocol.flow import Flow, Request, Response, Scope, expect
from regkit.protocol.manifest import get_manifest, put_manifest
from regkit.protocol.page import next_page

MAX_REFERRERS = 100_000
"""How many referrers of one manifest are read; a registry that has more is refused."""

_ABSENT = frozenset({400, 404, 405, 406, 501})
"""How registries without the API answer; the specification says 404, some say 400 or 406."""


def list_referrers(repository: str, digest: Digest, artifact_type: str | None = None) -> Flow[tuple[Descriptor, ...]]:
    """List what refers to a manifest, there or not; only those of a type where one is given."""
    found = yield from ask_referrers(repository, digest, artifact_type)
    if found is None:
        index = yield from get_fallback(repository, digest)
        found = index.manifests if index else ()
    typed = yield from _typed(repository, found)
    return tuple(each for each in typed if artifact_type in (None, each.artifact_type))


def ask_referrers(
    repository: str, digest: Digest, artifact_type: str | None = None
) -> Flow[tuple[Descriptor, ...] | None]:
    """Ask the API, over all its pages; None where the registry hasn't got it. It may have filtered, or not."""
    url: str | None = f"/v2/{repository}/referrers/{digest}"
    if artifact_type is not None:
        url = f"{url}?artifactType={quote(artifact_type, safe='')}"
    scope = Scope(repository, "pull")
    found: dict[Digest, Descriptor] = {}
    seen: set[str] = set()
    while url is not None:
        response = yield Request("GET", url, {"Accept": mediatype.OCI_INDEX}, scope=scope)
        if not seen and (response.status in _ABSENT or (response.status == 200 and not _is_index(response))):
            return None
        expect(response, 200, what=f"list the referrers of {digest} in {repository}")
        page = Manifest(mediatype.OCI_INDEX, response.read(MAX_SIZE)).manifests
        found.update({each.digest: each for each in page})
        if len(found) > MAX_REFERRERS:
            raise ProtocolError(f"{repository} lists more than {MAX_REFERRERS} referrers of {digest}")
        url = next_page(response, seen)
    return tuple(found.values())


def fallback_tag(digest: Digest) -> str:
    """Give the tag under which the referrers of `digest` are listed where the API is missing.

    Algorithm and hex are cut to 32 and 64 characters (distribution-spec, Referrers Tag Schema).
    """
    return f"{digest.algorithm[:32]}-{digest.hex[:64]}"


def get_fallback(repository: str, digest: Digest) -> Flow[Manifest | None]:
    """Read the index at the fallback tag; None where there is none, ProtocolError where it's something else."""
    tag = fallback_tag(digest)
    try:
        index = yield from get_manifest(repository, tag)
    except NotFound:
        return None
    if index.media_type != mediatype.OCI_INDEX:
        raise ProtocolError(f"{tag} in {repository} isn't a list of referrers, but {index.media_type}")
    return index


def edit_fallback(
    repository: str, subject: Digest, *, add: Descriptor | None = None, remove: Digest | None = None
) -> Flow[bool]:
    """Bring the list at the fallback tag nearer to what is wanted; True where it was so already.

    Nothing keeps two clients from writing it at the same time, so one update may be lost: this is to be run until it
    finds nothing to do, which reads back what was written (distribution-spec, Referrers Tag Schema).

    Before it adds anything it asks the API: there are registries that list what refers to a manifest, and don't say so
    when they take it.
    """
    index = yield from get_fallback(repository, subject)
    listed = index.manifests if index else ()
    wanted = tuple(each for each in listed if each.digest != remove)
    if add is not None and add not in wanted:
        wanted = (*(each for each in wanted if each.digest != add.digest), add)
    if wanted == listed:
        return True
    if add is not None:
        known = yield from ask_referrers(repository, subject)
        if add.digest in {each.digest for each in known or ()}:
            return True
    start = index.document if index else {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX}
    document = {**start, "manifests": [each.to_json() for each in wanted]}
    edited = Manifest(mediatype.OCI_INDEX, canonical_json(document))
    yield from put_manifest(repository, fallback_tag(subject), edited)
    return False


def subject_of(repository: str, digest: Digest) -> Flow[Digest | None]:
    """Tell what a manifest refers to; None where it doesn't, isn't there, or can't be read."""
    try:
        manifest = yield from get_manifest(repository, digest)
        return manifest.subject.digest if manifest.subject else None
    except (NotFound, ProtocolError, ContentMismatch):
        return None


def _typed(repository: str, listed: tuple[Descriptor, ...]) -> Flow[tuple[Descriptor, ...]]:
    """Read the types that a registry took from empty configurations: none is an artifact's (image-spec, manifest)."""
    typed = {each.digest: each for each in listed}
    for each in listed:
        if each.artifact_type == mediatype.OCI_EMPTY:
            with suppress(NotFound):
                manifest = yield from get_manifest(repository, each.digest)
                typed[each.digest] = replace(each, artifact_type=manifest.artifact_type)
    return tuple(typed.values())


def _is_index(response: Response) -> bool:
    return mediatype.essence(response.headers.get("content-type", "")) == mediatype.OCI_INDEX
