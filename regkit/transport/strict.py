"""An answer as the standard library reads it, less what that takes on trust (RFC 9112).

What arrived in part, can be read in two ways, or comes too slowly to ever end is no answer.
"""

from __future__ import annotations

import email.errors
import http.client
import io
import re
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_FRAMING = 256 * 1024
"""How many bytes of heads, chunk sizes and trailers may come beyond those of the content."""

MAX_INTERIM = 10
"""How many interim answers may come before the final one."""

SLOWEST = 1024
"""How many bytes a second are fast enough for whatever is sent or received."""

_LENGTH = re.compile("[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_MAX_LINE = 65536
_NO_HEADERS = (email.errors.MissingHeaderBodySeparatorDefect, email.errors.FirstHeaderLineIsContinuationDefect)


class Patience:
    """How long to wait, in seconds: `limit` at once, and again that long for what moves at `SLOWEST`."""

    def __init__(self, limit: float) -> None:
        self._limit = self._left = limit

    def spend(self, seconds: float, size: int) -> None:
        """Take off what was waited for so many bytes; raise TimeoutError where nothing is left."""
        self._left = min(self._limit, self._left - seconds + size / SLOWEST)
        if self._left < 0:
            raise TimeoutError(f"less than {SLOWEST} bytes a second")


class StrictResponse(http.client.HTTPResponse):
    """An answer with a well-formed head, read with the patience that the socket's timeout says."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        patience = Patience(sock.gettimeout() or 0.0)
        self.fp = _Lines(_Patient(self.fp.detach(), patience))

    def begin(self) -> None:
        """Read the head of the final answer; raise HTTPException."""
        super().begin()
        interim = 0
        while self.status < 200:
            interim += 1
            if interim > MAX_INTERIM or self.status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.HTTPException(f"{interim} interim answers, and none that is final")
            self.headers = None  # type: ignore[assignment]  # as it was before any head was read
            super().begin()
        lengths = {length.strip() for length in self.headers.get_all("content-length", ())}
        codings = self.headers.get_all("transfer-encoding", [])
        if any(isinstance(defect, _NO_HEADERS) for defect in self.headers.defects):
            raise http.client.HTTPException("its headers are none")
        if len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
            raise http.client.HTTPException(f"its Content-Length is none: {', '.join(sorted(lengths))[:100]}")
        if codings and (len(codings) > 1 or not self.chunked):
            raise http.client.HTTPException("its Transfer-Encoding isn't chunked")
        if codings and lengths:
            self.will_close = True  # one of both is wrong, and what comes next may be anything (RFC 9112, 6.3)

    def _read_next_chunk_size(self) -> int:
        """Read a chunk's size, which `http.client` takes in whatever way Python writes a number, also below zero."""
        size = self.fp.readline(_MAX_LINE + 1).partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(size):
            raise ValueError("not the size of a chunk")
        return int(size, 16)


class _Patient(io.RawIOBase):
    """What comes from a socket; raises TimeoutError where that is too little for too long."""

    def __init__(self, raw: io.RawIOBase, patience: Patience) -> None:
        self._raw, self._patience = raw, patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        begun = time.monotonic()
        count = self._raw.readinto(buffer)
        self._patience.spend(time.monotonic() - begun, count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """The lines of heads, chunk sizes and trailers: they are whole, and little more than the content is."""

    _left = MAX_FRAMING
    _begun = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise http.client.HTTPException(f"over {MAX_FRAMING} bytes come that are no content")
        if not line.endswith(b"\n") and len(line) != size and (line or self._begun):
            raise http.client.HTTPException("the server hung up in the middle of its answer")
        if b"\r" in line[:-2]:
            raise http.client.HTTPException("its headers are none")  # where one ends is anybody's guess
        self._begun = True
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._left += len(data)
        return data
