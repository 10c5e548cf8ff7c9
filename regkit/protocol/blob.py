"""Blobs: looked up, read, and uploaded in one piece (distribution-spec, Pulling blobs, Pushing blobs)."""

from __future__ import annotations

from typing import BinaryIO
from urllib.parse import urljoin

from regkit.errors import ContentMismatch, ProtocolError, Unavailable
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


def push_blob(repository: str, descriptor: Descriptor, source: Source) -> Flow[bool]:
    """Send a blob; tell whether its bytes were sent, or the registry had them.

    The upload begins as a mount from the repository itself: one request that asks for the blob and opens the session
    for it. Where a send fails, or the session is lost, the registry is asked whether the blob arrived all the same,
    and if not a new session is begun; after `UPLOAD_TRIES` of them the failure stands.
    """
    attempt = 0
    while True:  # the last try returns or raises
        attempt += 1
        location = yield from begin_upload(repository, descriptor.digest)
        if location is None:
            return False
        try:
            response = yield _put_blob(repository, location, descriptor, source)
        except Unavailable:
            if attempt == UPLOAD_TRIES:
                raise
        else:
            if response.status not in _LOST or attempt == UPLOAD_TRIES:
                expect(response, 201, what=f"upload the blob {descriptor.digest} to {repository}")
                return True
        if (yield from head_blob(repository, descriptor)):
            return True


def begin_upload(repository: str, digest: Digest) -> Flow[str | None]:
    """Open an upload session; give its absolute URL, which is the registry's to choose, or None: the blob is there.

    A registry that knows no mount answers 202 like to any other upload (distribution-spec, Mounting a blob).
    """
    url, scope = f"/v2/{repository}/blobs/uploads/", Scope(repository, "pull,push")
    length = {"Content-Length": "0"}
    response = yield Request("POST", f"{url}?mount={digest}&from={repository}", length, scope=scope)
    if response.status in (400, 404, 405, 501):
        response = yield Request("POST", url, length, scope=scope)
    if response.status == 201:
        return None
    return _location(expect(response, 202, what=f"begin an upload to {repository}"))


def _put_blob(repository: str, location: str, descriptor: Descriptor, source: Source) -> Request:
    # The session's URL is the registry's own: nothing in it is written anew, only the digest is appended.
    url = f"{location}{'&' if '?' in location else '?'}digest={descriptor.digest}"
    headers = {"Content-Type": "application/octet-stream"}
    return Request("PUT", url, headers, source, Scope(repository, "pull,push"), replayable=False)


def _location(response: Response) -> str:
    location = response.headers.get("location")
    if not location:
        raise ProtocolError(f"{response.url} began an upload without a Location")
    return urljoin(response.url, location)
