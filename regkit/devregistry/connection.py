"""A client's connection: cheroot's, with a reader in C, and with as few turns of its threads as can be (ADR 0201).

Threads of Python take turns, and each system call passes the turn on. Where many clients ask at once, that costs more
than the answers do, so a small request makes only three: it is read, reported, and answered in one piece.
"""

from __future__ import annotations

import io
import os
import select
import socket
import ssl
from contextlib import suppress
from typing import Any

from cheroot.server import HTTPConnection

from regkit.devregistry.tls import is_new, shake_hands

_PAUSE = 10
"""For how many milliseconds a thread waits for its client's next request."""


class Reader(io.BufferedReader):
    """A socket's reader, with what cheroot asks for. Its own is Python down to the last byte (ADR 0201)."""

    bytes_read = 0  # cheroot's statistics, which are off

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._raw = connection, _Raw(connection, "rb")
        super().__init__(self._raw)

    def has_data(self) -> bool:
        """Whether something is at hand that was read from the network already, be it by TLS."""
        self._raw.silent = True
        try:
            return bool(self.peek(1)) or (
                isinstance(self._connection, ssl.SSLSocket) and self._connection.pending() > 0
            )
        finally:
            self._raw.silent = False


class _Raw(socket.SocketIO):
    """A socket as a stream, which can be made to say that there is nothing yet."""

    silent = False

    def __init__(self, connection: socket.socket, mode: Any) -> None:
        super().__init__(connection, mode)
        self._plain = not isinstance(connection, ssl.SSLSocket)

    def readinto(self, buffer: Any) -> int | None:
        if self.silent:
            return None
        if self._plain:
            with suppress(BlockingIOError):  # nothing is there yet: the socket's own way waits for it
                return os.readv(self.fileno(), [buffer])
        return super().readinto(buffer)


class Connection(HTTPConnection):
    """Cheroot's connection with our reader, and with its handshake in the thread that serves it."""

    def __init__(self, server: Any, sock: Any, makefile: Any) -> None:
        super().__init__(server, sock, lambda s, mode, size: Reader(s) if "r" in mode else makefile(s, mode, size))
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    def communicate(self) -> bool:
        """Answer the request that is there, and those that follow at once; tell whether the connection may stay open.

        A client that says nothing keeps no thread: cheroot watches its connection then. Neither does one that asks
        and asks where others wait for a thread.
        """
        while self._has_request():
            answered = shake_hands(self.socket) if is_new(self.socket) else super().communicate()  # type: ignore[no-untyped-call]  # cheroot's
            if not answered or self.server.requests.qsize:
                return bool(answered)
        return True

    def _has_request(self) -> bool:
        """Whether something comes within a moment."""
        return self.rfile.has_data() or bool(self._readable.poll(_PAUSE))

    def send(self, data: bytes) -> None:
        """Send all of it."""
        sent = 0
        if not isinstance(self.socket, ssl.SSLSocket):
            with suppress(BlockingIOError):  # no room yet: the socket's own way waits for it
                sent = os.write(self.socket.fileno(), data)
        if sent < len(data):
            self.socket.sendall(memoryview(data)[sent:])
