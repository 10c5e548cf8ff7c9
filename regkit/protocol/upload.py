"""Uploads: sessions that are begun, asked, gone on with in chunks, and ended (distribution-spec, Pushing blobs)."""

from __future__ import annotations

import re
from contextlib import closing, suppress
from typing import BinaryIO, NamedTuple

from regkit.errors import ContentMismatch, ProtocolError, RegkitError, Unavailable
from regkit.oci.digest import Digest
from regkit.protocol.flow import Bytes, Flow, Request, Response, Scope, Source, expect

CHUNK = 4 * 1024 * 1024
"""The size of a chunk, in bytes: GHCR refuses larger ones."""

MAX_CHUNK = 64 * 1024 * 1024
"""The largest chunk that a registry may demand: it is held in memory."""

BREAKS = 4
"""How many chunks in a row may fail before the session is given up."""

_OCTETS = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes[= ])?0-([0-9]{1,18})")


class Upload(NamedTuple):
    """An upload session that is open: its absolute URL, which is the registry's to choose."""

    url: str
    offset: int = 0
    """How many bytes the registry has."""
    min_chunk: int = 0
    """The least that a chunk may hold but the last (`OCI-Chunk-Min-Length`)."""


def begin_upload(repository: str, digest: Digest) -> Flow[Upload | None]:
    """Open an upload session; None: the blob is there.

    A registry that knows no mount answers 202 like to any other upload (distribution-spec, Mounting a blob).
    """
    url, scope = f"/v2/{repository}/blobs/uploads/", Scope(repository, "pull,push")
    length = {"Content-Length": "0"}
    mount = f"{url}?mount={digest}&from={repository}{_algorithm('&', digest)}"
    response = yield Request("POST", mount, length, scope=scope)
    if response.status in (400, 404, 405, 501):
        response = yield Request("POST", f"{url}{_algorithm('?', digest)}", length, scope=scope)
    if response.status == 201:
        return None
    return _begun(expect(response, 202, what=f"begin an upload to {repository}"))


def mount_blob(repository: str, digest: Digest, origin: str) -> Flow[Upload | bool]:
    """Take a blob over from another repository of the registry, or ask for it in this one; tell whether it is there.

    An Upload is the session that a registry opens where it doesn't mount: it must be used, or cancelled
    (distribution-spec, Mounting a blob). What hinders a mount hinders the upload after it, and is told there.
    """
    url = f"/v2/{repository}/blobs/uploads/?mount={digest}&from={origin}{_algorithm('&', digest)}"
    scope = Scope(repository, "pull,push", "" if origin == repository else origin)
    response = yield Request("POST", url, {"Content-Length": "0"}, scope=scope)
    return _begun(response) if response.status == 202 else response.status == 201


def post_blob(repository: str, digest: Digest, source: Source) -> Flow[Upload | bool]:
    """Send a blob with the request that begins its upload; tell whether it is there now.

    An Upload is the session that a registry opens which doesn't do this: all bytes have to be sent to it
    (distribution-spec, Single POST). False where the registry doesn't like it at all.
    """
    url, scope = f"/v2/{repository}/blobs/uploads/?digest={digest}", Scope(repository, "pull,push")
    response = yield Request("POST", url, _OCTETS, source, scope)
    return _begun(response) if response.status == 202 else response.status == 201


def close_upload(repository: str, upload: Upload, digest: Digest, source: Source) -> Flow[Response | Unavailable]:
    """End a session with its last bytes, or all of them; a connection that broke is an outcome, too."""
    # The session's URL is the registry's own: nothing in it is written anew, only the digest is appended.
    url = f"{upload.url}{'&' if '?' in upload.url else '?'}digest={digest}"
    try:
        return (yield Request("PUT", url, _OCTETS, source, Scope(repository, "pull,push"), replayable=False))
    except Unavailable as error:
        return error


def finish_upload(repository: str, upload: Upload, digest: Digest, source: Source) -> Flow[bool]:
    """Go on with an upload that was broken off, in chunks, from where the registry has it.

    False where that can't be: the session is gone, or doesn't take chunks, and is cancelled. What a registry says
    that it has is trusted; the closing PUT's digest decides in the end.
    """
    size = max(CHUNK, upload.min_chunk)
    if size > MAX_CHUNK:
        return False
    breaks = 0
    with closing(_Pieces(source)) as pieces:
        known = yield from ask_upload(repository, upload)
        while known is not None and known.offset < source.size and breaks <= BREAKS:
            sent = yield from send_chunk(repository, known, pieces.read(known.offset, size))
            breaks = 0 if sent else breaks + 1
            known = sent or (yield from ask_upload(repository, known))
    if known is None or known.offset != source.size:
        if known is not None:
            yield from cancel_upload(repository, known)
        return False
    closed = yield from close_upload(repository, known, digest, Bytes(b""))
    if isinstance(closed, Response) and closed.status != 201:
        # After a break it isn't cancelled: the registry may be storing the blob at this moment.
        yield from cancel_upload(repository, known)
    return isinstance(closed, Response) and closed.status == 201


def ask_upload(repository: str, upload: Upload) -> Flow[Upload | None]:
    """Ask how far a session is; None where it is gone, or doesn't tell.

    `0-0` is what registries say of an empty session, too: as one byte isn't worth a question, it counts as none.
    """
    response = yield Request("GET", upload.url, scope=Scope(repository, "pull,push"))
    arrived = _arrived(response)
    if response.status not in (200, 202, 204) or arrived is None:
        return None
    return upload._replace(url=_next_url(response, upload), offset=arrived if arrived > 1 else 0)


def send_chunk(repository: str, upload: Upload, data: bytes) -> Flow[Upload | None]:
    """Send what comes next; give the session as it is then, or None where the chunk failed and has to be asked about.

    A 202 with a `Range` inside the chunk says how much of it was taken; one that sticks where it was (Amazon's) or
    is missing says nothing, and what was sent counts.
    """
    end = upload.offset + len(data)
    headers = {**_OCTETS, "Content-Range": f"{upload.offset}-{end - 1}"}
    scope = Scope(repository, "pull,push")
    try:
        response = yield Request("PATCH", upload.url, headers, Bytes(data), scope, replayable=False)
    except Unavailable:
        return None
    if response.status != 202:
        return None
    arrived = _arrived(response)
    offset = arrived if arrived is not None and upload.offset < arrived < end else end
    return upload._replace(url=_next_url(response, upload), offset=offset)


def cancel_upload(repository: str, upload: Upload) -> Flow[None]:
    """End a session that is not needed any more; a registry that can't forgets it in time (Canceling an upload)."""
    with suppress(RegkitError):
        yield Request("DELETE", upload.url, scope=Scope(repository, "delete,pull,push"), replayable=False)


def _algorithm(separator: str, digest: Digest) -> str:
    """Announce another algorithm than sha256, so that a session's bytes are hashed as they come."""
    return f"{separator}digest-algorithm={digest.algorithm}" if digest.algorithm != "sha256" else ""


def _begun(response: Response) -> Upload:
    location = response.headers.get("location")
    if not location:
        raise ProtocolError(f"{response.url} began an upload without a Location")
    least = response.headers.get("oci-chunk-min-length", "")
    return Upload(response.absolute(location), 0, int(least) if re.fullmatch("[0-9]{1,18}", least) else 0)


def _next_url(response: Response, upload: Upload) -> str:
    location = response.headers.get("location")
    return response.absolute(location) if location else upload.url


def _arrived(response: Response) -> int | None:
    match = _RANGE.fullmatch(response.headers.get("range", ""))
    return int(match[1]) + 1 if match else None


class _Pieces:
    """Reads a source piece by piece. The last piece is kept: to send it again, nothing is read twice."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stream: BinaryIO | None = None
        self._start, self._kept = 0, b""

    def read(self, offset: int, size: int) -> bytes:
        """Give up to `size` bytes from `offset` on, fewer at the end; raise ContentMismatch where there are none."""
        if self._stream is None or offset < self._start:
            self.close()
            self._stream = self._source.open()
            self._start, self._kept = 0, b""
        while offset > self._start + len(self._kept):
            self._start += len(self._kept)
            self._kept = self._stream.read(min(CHUNK, offset - self._start))
            if not self._kept:
                break
        self._kept = self._kept[offset - self._start :]
        self._start = offset
        self._kept += self._stream.read(max(0, size - len(self._kept)))
        if not self._kept:
            raise ContentMismatch(f"content ended before its {self._source.size} bytes")
        return self._kept[:size]

    def close(self) -> None:
        """Let go of the source."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
