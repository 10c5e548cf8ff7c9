"""What a client sends, read from its socket: cheroot's connection with a reader in C, and a request's body."""

from __future__ import annotations

import io
import re
import socket
from typing import Any, BinaryIO, cast

from cheroot.server import HTTPConnection

from regkit.devregistry.call import UNKNOWN_SIZE
from regkit.devregistry.tls import shake_hands
from regkit.devregistry.upload import CHUNK
from regkit.errors import Unavailable

_LINE = 4096
"""How long a line between two chunks may be, in bytes."""

_TRAILERS = 64
"""How many lines may follow the last chunk."""

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")


class Reader(io.BufferedReader):
    """A socket's reader, with what cheroot asks for. Its own is Python down to the last byte (ADR 0201)."""

    bytes_read = 0  # cheroot's statistics, which are off

    def __init__(self, connection: socket.socket) -> None:
        self._raw = _Raw(connection, "rb")
        super().__init__(self._raw)

    def has_data(self) -> bool:
        """Whether something is at hand that was read from the socket already."""
        self._raw.silent = True
        try:
            return bool(self.peek(1))
        finally:
            self._raw.silent = False


class _Raw(socket.SocketIO):
    """A socket as a stream, which can be made to say that there is nothing yet."""

    silent = False

    def readinto(self, buffer: Any) -> int | None:
        return None if self.silent else super().readinto(buffer)


class Connection(HTTPConnection):
    """Cheroot's connection with our reader, and with its handshake in the thread that serves it."""

    def __init__(self, server: Any, sock: Any, makefile: Any) -> None:
        super().__init__(server, sock, lambda s, mode, size: Reader(s) if "r" in mode else makefile(s, mode, size))

    def communicate(self) -> bool:
        """Read a request and answer it; tell whether the connection may stay open."""
        return shake_hands(self.socket) and bool(super().communicate())  # type: ignore[no-untyped-call]  # cheroot's


class Incoming:
    """A request's body as a Source; what was read of it can't be read again. `size` is Content-Length or UNKNOWN_SIZE.

    A body in chunks is read a piece at a time, however large the client makes its chunks (RFC 9112, 7.1).
    """

    def __init__(self, reader: Reader, size: int) -> None:
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
