"""A request's body, as it comes from its connection."""

from __future__ import annotations

import io
import re
from typing import Any, BinaryIO, cast

from regkit.devregistry.call import UNKNOWN_SIZE
from regkit.devregistry.upload import CHUNK
from regkit.errors import Unavailable

_LINE = 4096
"""How long a line between two chunks may be, in bytes."""

_TRAILERS = 64
"""How many lines may follow the last chunk."""

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")


class Incoming:
    """A request's body as a Source; what was read of it can't be read again. `size` is Content-Length or UNKNOWN_SIZE.

    A body in chunks is read a piece at a time, however large the client makes its chunks (RFC 9112, 7.1).
    """

    def __init__(self, reader: io.BufferedReader, size: int) -> None:
        self.size = size
        self._reader, self._chunked = reader, size == UNKNOWN_SIZE
        self._left = 0 if self._chunked else size
        self._first, self._ended, self._broken = True, not self._chunked, False

    def open(self) -> BinaryIO:
        """Read on."""
        return cast("BinaryIO", _Body(self))

    def readinto(self, buffer: memoryview) -> int:
        """Fill in what is there, 0 at the end; Unavailable where the client breaks it off."""
        if self._broken:
            raise Unavailable("the client's body broke off")
        self._broken = True
        try:
            if not self._left and not self._ended:
                self._begin_chunk()
            count = self._reader.readinto1(buffer[: self._left]) if self._left else 0
        except (OSError, ValueError) as error:  # reset, timed out; a chunk's length that isn't one
            raise Unavailable(f"the client's body broke off: {error}") from None
        if self._left and not count:
            raise Unavailable(f"the client's body broke off {self._left} bytes too early")
        self._left -= count
        self._broken = False
        return count

    def drain(self) -> bool:
        """Read what is left, so that the connection can be used again; tell whether it can."""
        if self._left or not self._ended:
            scratch = memoryview(bytearray(CHUNK))
            try:
                while self.readinto(scratch):
                    pass
            except Unavailable:
                return False
        return not self._broken

    def _begin_chunk(self) -> None:
        if not self._first and self._reader.readline(_LINE) not in (b"\r\n", b"\n"):
            raise ValueError("a chunk is longer than it says")
        self._first = False
        match = _CHUNK_SIZE.fullmatch(self._reader.readline(_LINE))
        if match is None:
            raise ValueError("not a chunk's length")
        self._left = int(match[1], 16)
        if not self._left:
            self._end_chunks()

    def _end_chunks(self) -> None:
        for _ in range(_TRAILERS):
            if self._reader.readline(_LINE) in (b"\r\n", b"\n"):
                self._ended = True
                return
        raise ValueError("the last chunk doesn't end")


class _Body(io.RawIOBase):
    """A stream over a request's body."""

    def __init__(self, incoming: Incoming) -> None:
        super().__init__()
        self._incoming = incoming

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._incoming.readinto(memoryview(buffer))
