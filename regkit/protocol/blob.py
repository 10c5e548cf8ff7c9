"""Blobs: looked up, read, and uploaded in one piece (distribution-spec, Pulling blobs, Pushing blobs)."""

from __future__ import annotations

from contextlib import suppress
from typing import BinaryIO, NamedTuple
from urllib.parse import urljoin

from regkit.errors import ContentMismatch, ProtocolError, RegkitError, Unavailable
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.protocol.flow import Flow, Request, Response, Scope, Source, expect

UPLOAD_TRIES = 4
"""How many upload sessions a blob may use up before its push fails."""

_LOST = frozenset({404, 500, 502, 504})
"""Answers that leave open what became of an upload: its session is unknown, or somebody on the way failed."""


def head_blob(repository: str, descriptor: Descriptor) -> Flow[bool]:
    """Tell whether a blob is there; raise ContentMismatch where one of another size is."""
    scope = Scope(repository, "pull")
    response = yield Request("HEAD", f"/v2/{repository}/blobs/{descriptor.digest}", scope=scope)
    if response.status == 404:
        return False
    expect(response, 200, what=f"look up the blob {descriptor.digest} in {repository}")
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) != descriptor.size:
        raise ContentMismatch(f"{repository} has {descriptor.digest} with {length} bytes, not {descriptor.size}")
    return True


def get_blob(repository: str, digest: Digest) -> Flow[BinaryIO]:
    """Open a blob for reading; its bytes are not checked here. Raise NotFound."""
    scope = Scope(repository, "pull")
    response = yield Request("GET", f"/v2/{repository}/blobs/{digest}", scope=scope, stream=True)
    return expect(response, 200, what=f"read the blob {digest} of {repository}").body


class Upload(NamedTuple):
    """An upload session that is open: its absolute URL, which is the registry's to choose."""

    url: str


def push_blob(repository: str, descriptor: Descriptor, source: Source, upload: Upload | None = None) -> Flow[bool]:
    """Send a blob; tell whether its bytes were sent, or the registry had them.

    The upload begins as a mount from the repository itself: one request that asks for the blob and opens the session
    for it; an `upload` that is open already, as a mount that didn't work leaves one, is used instead. Where a send
    fails, or the session is lost, the registry is asked whether the blob arrived all the same, and if not a new session
    is begun; after `UPLOAD_TRIES` of them the failure stands.
    """
    attempt = 0
    while True:  # the last try returns or raises
        attempt += 1
        if upload is None:
            upload = yield from begin_upload(repository, descriptor.digest)
        if upload is None:
            return False
        try:
            response = yield _put_blob(repository, upload, descriptor, source)
        except Unavailable:
            if attempt == UPLOAD_TRIES:
                raise
        else:
            if response.status not in _LOST or attempt == UPLOAD_TRIES:
                expect(response, 201, what=f"upload the blob {descriptor.digest} to {repository}")
                return True
        upload = None
        if (yield from head_blob(repository, descriptor)):
            return True


def begin_upload(repository: str, digest: Digest) -> Flow[Upload | None]:
    """Open an upload session; None: the blob is there.

    A registry that knows no mount answers 202 like to any other upload (distribution-spec, Mounting a blob).
    """
    url, scope = f"/v2/{repository}/blobs/uploads/", Scope(repository, "pull,push")
    length = {"Content-Length": "0"}
    response = yield Request("POST", f"{url}?mount={digest}&from={repository}", length, scope=scope)
    if response.status in (400, 404, 405, 501):
        response = yield Request("POST", url, length, scope=scope)
    if response.status == 201:
        return None
    return _upload(expect(response, 202, what=f"begin an upload to {repository}"))


def mount_blob(repository: str, digest: Digest, origin: str) -> Flow[Upload | bool]:
    """Take a blob over from another repository of the registry; tell whether it is there now.

    An Upload is the session that a registry opens where it doesn't mount: it must be used, or cancelled
    (distribution-spec, Mounting a blob). What hinders a mount hinders the upload after it, and is told there.
    """
    url = f"/v2/{repository}/blobs/uploads/?mount={digest}&from={origin}"
    scope = Scope(repository, "pull,push", origin)
    response = yield Request("POST", url, {"Content-Length": "0"}, scope=scope)
    return _upload(response) if response.status == 202 else response.status == 201


def cancel_upload(repository: str, upload: Upload) -> Flow[None]:
    """End a session that is not needed any more; a registry that can't forgets it in time (Canceling an upload)."""
    with suppress(RegkitError):
        yield Request("DELETE", upload.url, scope=Scope(repository, "pull,push"), replayable=False)


def delete_blob(repository: str, digest: Digest) -> Flow[bool]:
    """Remove a blob; False where the registry can't. One that isn't there is removed (Deleting Blobs)."""
    url = f"/v2/{repository}/blobs/{digest}"
    response = yield Request("DELETE", url, scope=Scope(repository, "delete,pull,push"))
    if response.status in (400, 405, 415, 501):
        return False
    expect(response, 200, 202, 204, 404, what=f"delete the blob {digest} of {repository}")
    return True


def _put_blob(repository: str, upload: Upload, descriptor: Descriptor, source: Source) -> Request:
    # The session's URL is the registry's own: nothing in it is written anew, only the digest is appended.
    url = f"{upload.url}{'&' if '?' in upload.url else '?'}digest={descriptor.digest}"
    headers = {"Content-Type": "application/octet-stream"}
    return Request("PUT", url, headers, source, Scope(repository, "pull,push"), replayable=False)


def _upload(response: Response) -> Upload:
    location = response.headers.get("location")
    if not location:
        raise ProtocolError(f"{response.url} began an upload without a Location")
    return Upload(urljoin(response.url, location))
