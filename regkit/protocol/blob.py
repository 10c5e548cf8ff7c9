"""Blobs: looked up, read, and uploaded in one piece (distribution-spec, Pulling blobs, Pushing blobs)."""

from __future__ import annotations

from typing import BinaryIO

from regkit.errors import ContentMismatch, NotFound, ProtocolError, Unavailable
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.protocol.flow import Flow, Request, Response, Scope, Source, expect, printable
from regkit.protocol.upload import Upload, begin_upload, cancel_upload, close_upload, finish_upload

UPLOAD_TRIES = 4
"""How many upload sessions a blob may use up before its push fails."""

_SKIP = 256 * 1024

_RESUMABLE = frozenset({None, 413, 416, 500, 502, 504})
"""Answers after which a session may be there still; None is a connection that broke."""

_LOST = frozenset({None, 404, 416, 500, 502, 504})
"""Answers that leave open what became of an upload: its session is unknown, or somebody on the way failed."""


def head_blob(repository: str, descriptor: Descriptor) -> Flow[bool]:
    """Tell whether a blob is there; raise ContentMismatch where one of another size is."""
    scope = Scope(repository, "pull")
    response = yield Request("HEAD", f"/v2/{repository}/blobs/{descriptor.digest}", scope=scope)
    if response.status == 405:  # some know no HEAD
        response = yield Request("GET", f"/v2/{repository}/blobs/{descriptor.digest}", scope=scope, stream=True)
        response.body.close()
    if response.status == 404:
        return False
    expect(response, 200, what=f"look up the blob {descriptor.digest} in {repository}")
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) != descriptor.size:
        raise ContentMismatch(f"{repository} has {descriptor.digest} with {length} bytes, not {descriptor.size}")
    return True


def blob_size(repository: str, digest: Digest) -> Flow[int | None]:
    """Tell a blob's size in bytes, None where there is none; raise ProtocolError where neither HEAD nor GET tells."""
    for method in ("HEAD", "GET"):
        url = f"/v2/{repository}/blobs/{digest}"
        response = yield Request(method, url, scope=Scope(repository, "pull"), stream=method == "GET")
        if response.status == 404:
            return None
        statuses = (200, 405) if method == "HEAD" else (200,)
        expect(response, *statuses, what=f"look up the blob {digest} in {repository}").body.close()
        length = response.headers.get("content-length", "")
        if response.status == 200 and length.isdecimal():
            return int(length)
    raise ProtocolError(f"the registry doesn't tell the size of the blob {digest} in {repository}")


def get_blob(repository: str, digest: Digest, offset: int = 0) -> Flow[BinaryIO]:
    """Open a blob for reading from a byte on; its bytes are not checked here. Raise NotFound.

    A registry that knows no ranges sends all of it, of which the beginning is left out (distribution-spec, Pulling
    blobs; RFC 9110, 14.2).
    """
    scope = Scope(repository, "pull")
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    response = yield Request("GET", f"/v2/{repository}/blobs/{digest}", headers, scope=scope, stream=True)
    expect(response, *((200, 206) if offset else (200,)), what=f"read the blob {digest} of {repository}")
    if response.status == 206:
        said = response.headers.get("content-range", "")
        if not said.startswith(f"bytes {offset}-"):
            response.body.close()
            raise ProtocolError(f"{response.url} sent {printable(said, 100)!r} instead of the bytes from {offset} on")
        return response.body
    while offset > 0 and (skipped := len(response.body.read(min(offset, _SKIP)))):
        offset -= skipped
    return response.body


def push_blob(repository: str, descriptor: Descriptor, source: Source, upload: Upload | None = None) -> Flow[bool]:
    """Send a blob; tell whether its bytes were sent, or the registry had them.

    The upload begins as a mount from the repository itself: one request that asks for the blob and opens the session
    for it; an `upload` that is open already, as a mount that didn't work leaves one, is used instead. All bytes go
    in one PUT. Where that breaks off, or is too large for somebody on the way, the session is gone on with in chunks;
    where it is lost, the registry is asked whether the blob arrived all the same, and if not a new session is begun.
    After `UPLOAD_TRIES` of them the failure stands.
    """
    attempt = 0
    while True:  # the last try returns or raises
        attempt += 1
        if upload is None:
            upload = yield from begin_upload(repository, descriptor.digest)
        if upload is None:
            return False
        answer = yield from close_upload(repository, upload, descriptor.digest, source)
        status = answer.status if isinstance(answer, Response) else None
        if status == 201:
            return True
        if status in _RESUMABLE and (yield from finish_upload(repository, upload, descriptor.digest, source)):
            return True
        if status in _LOST and (yield from head_blob(repository, descriptor)):
            return True
        if status not in _RESUMABLE | _LOST:
            yield from cancel_upload(repository, upload)
        if status not in _LOST or attempt == UPLOAD_TRIES:
            if isinstance(answer, Unavailable):
                raise answer
            _give_up(answer, f"upload the blob {descriptor.digest} to {repository}")
        upload = None


def _give_up(answer: Response, what: str) -> None:
    """Raise what an answer means; a session that is unknown is no content that isn't there."""
    try:
        expect(answer, what=what)
    except NotFound as error:
        hint = "several instances behind one address must share their uploads: one storage, one http secret"
        raise Unavailable(f"{error.message}: it lost {UPLOAD_TRIES} uploads", hint=hint, transient=False) from None


def delete_blob(repository: str, digest: Digest) -> Flow[bool]:
    """Remove a blob; False where the registry can't. One that isn't there is removed (Deleting Blobs)."""
    url = f"/v2/{repository}/blobs/{digest}"
    response = yield Request("DELETE", url, scope=Scope(repository, "delete,pull,push"))
    if response.status in (400, 405, 415, 501):
        return False
    expect(response, 200, 202, 204, 404, what=f"delete the blob {digest} of {repository}")
    return True
