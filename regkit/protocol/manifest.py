"""Manifests: looked up, read and written (distribution-spec, Pulling manifests, Pushing manifests)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

from regkit.errors import ContentMismatch, NotFound, ProtocolError, UsageError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest
from regkit.protocol.blob import head_blob
from regkit.protocol.flow import ERROR_LIMIT, Bytes, Flow, Request, Response, Scope, expect, read_errors

_ACCEPT = {"Accept": mediatype.ACCEPT}

_LOOKS = 4
"""How often a manifest is written again where all that it names is there, and the registry contradicts itself."""


def head_manifest(repository: str, name: str) -> Flow[Descriptor | None]:
    """Tell what a tag or digest stands for; None where there is no such manifest. Costs no pull at a hub."""
    scope = Scope(repository, "pull")
    response = yield Request("HEAD", f"/v2/{repository}/manifests/{name}", _ACCEPT, scope=scope)
    if response.status == 404:
        return None
    expect(response, 200, 405, what=f"look up {name} in {repository}")
    digest, length = response.headers.get("docker-content-digest"), response.headers.get("content-length", "")
    kind = mediatype.essence(response.headers.get("content-type", ""))
    if response.status == 405 or digest is None or not length.isdecimal() or kind not in mediatype.MANIFESTS:
        # Old registries leave these out of HEAD, or know no HEAD: the bytes themselves tell.
        return (yield from _read_descriptor(repository, name))
    return Descriptor(kind, _digest(digest), int(length))


def _read_descriptor(repository: str, name: str) -> Flow[Descriptor | None]:
    try:
        manifest = yield from get_manifest(repository, name)
    except NotFound:
        return None
    digest = _digest(name) if ":" in name else manifest.digest
    return Descriptor(manifest.media_type, digest, len(manifest.raw))


def get_manifest(repository: str, name: str) -> Flow[Manifest]:
    """Read a manifest; raise NotFound, or ContentMismatch where the bytes aren't what was asked for or promised."""
    scope = Scope(repository, "pull")
    response = yield Request("GET", f"/v2/{repository}/manifests/{name}", _ACCEPT, scope=scope)
    expect(response, 200, what=f"read {name} in {repository}")
    raw = response.read(MAX_SIZE)
    promised = name if ":" in name else response.headers.get("docker-content-digest")
    if promised is not None:
        digest = _digest(promised)
        if Digest.of(raw, digest.algorithm) != digest:
            raise ContentMismatch(f"the manifest {name} of {repository} doesn't have the digest {digest}")
    return Manifest.parse(raw, response.headers.get("content-type"))


def put_manifest(repository: str, name: str, manifest: Manifest) -> Flow[Digest | None]:
    """Write a manifest's bytes under a tag or its digest; raise ContentMismatch where the registry saw others.

    Give the digest of its subject where the registry keeps no list of referrers, and the client has to
    (distribution-spec, Pushing manifests with Subject); else None.
    """
    if len(manifest.raw) > MAX_SIZE:
        raise UsageError(f"the manifest {manifest.digest} is larger than the {MAX_SIZE} bytes that registries take")
    subject = manifest.subject
    request = Request(
        "PUT",
        f"/v2/{repository}/manifests/{name}",
        {"Content-Type": manifest.media_type},
        Bytes(manifest.raw),
        Scope(repository, "pull,push"),
    )
    response = yield request
    for _ in range(_LOOKS):
        if response.status != 400:
            break
        answer = response.body.read(ERROR_LIMIT)
        response = replace(response, body=io.BytesIO(answer))
        if not _is_torn(answer) or not (yield from _has_all(repository, manifest)):
            break
        response = yield request
    expect(response, 201, 200, 202, what=f"write {name} in {repository}")
    _check_returned(response, manifest)
    return subject.digest if subject and "oci-subject" not in response.headers else None


def _is_torn(answer: bytes) -> bool:
    """Tell whether a registry read what a manifest names while somebody else was writing that, too.

    Docker's registry 2.8 writes such a link in place, and takes one that is empty yet for a wrong digest and for an
    unknown blob, of which either alone would be meant.
    """
    codes, _ = read_errors(Response(400, body=io.BytesIO(answer)))
    return {"DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN"} <= set(codes)


def _has_all(repository: str, manifest: Manifest) -> Flow[bool]:
    """Ask for all that a manifest names; what can't be read yet is answered with 500, and so asked for again."""
    for blob in manifest.blobs:
        if not (yield from head_blob(repository, blob)):
            return False
    for child in manifest.manifests:
        if (yield from head_manifest(repository, child.digest)) is None:
            return False
    return True


def put_tagged(repository: str, digest: Digest, manifest: Manifest, tags: Sequence[str]) -> Flow[tuple[str, ...]]:
    """Write a manifest by digest and ask for tags on it with the same request; give those that the registry set.

    None of them where it doesn't do this, or not for so many (distribution-spec, Pushing Manifests: only what
    `OCI-Tag` names counts). In which order tags are set is the registry's to choose.
    """
    query = "&".join(f"tag={tag}" for tag in tags)
    response = yield Request(
        "PUT",
        f"/v2/{repository}/manifests/{digest}?{query}",
        {"Content-Type": manifest.media_type},
        Bytes(manifest.raw),
        Scope(repository, "pull,push"),
    )
    if response.status in (400, 404, 405, 414, 431, 501):
        return ()
    expect(response, 201, 200, 202, what=f"write {', '.join(tags)} in {repository}")
    _check_returned(response, manifest)
    said = {tag.strip() for tag in response.headers.get("oci-tag", "").split(",")}
    return tuple(tag for tag in tags if tag in said)


def delete_manifest(repository: str, digest: Digest) -> Flow[bool]:
    """Remove a manifest and every tag on it; False where the registry can't. One that isn't there is removed."""
    scope = Scope(repository, "delete,pull,push")
    response = yield Request("DELETE", f"/v2/{repository}/manifests/{digest}", scope=scope)
    if response.status in (400, 405, 415, 501):
        # Deletes are switched off, or something that stays needs it (zot: 405, Google: 400).
        return False
    expect(response, 200, 202, 204, 404, what=f"delete the manifest {digest} of {repository}")
    return True


def _check_returned(response: Response, manifest: Manifest) -> None:
    returned = response.headers.get("docker-content-digest")
    if returned is not None:
        digest = _digest(returned)
        if Digest.of(manifest.raw, digest.algorithm) != digest:
            raise ContentMismatch(f"the registry stored {returned} instead of {manifest.digest}")


def _digest(text: str) -> Digest:
    try:
        return Digest(text)
    except UsageError as error:
        raise ProtocolError(f"the registry gave an invalid digest: {error.message}") from None
