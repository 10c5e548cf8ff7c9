"""A connection straight to its server, over the standard library's HTTP client.

httpx passes each 64 KiB through a dozen calls and three copies, and takes 50 ms to import (ADR 0603).
"""

from __future__ import annotations

import contextlib
import email.errors
import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from typing import Any

from regkit.transport.sockets import CONNECT_LIMIT, Sockets
from regkit.transport.wire import CantConnectError, CantSendError, Message, Origin, TimedOutError, WireError

KEEPALIVE = 30.0
PIECE = 256 * 1024
"""How many bytes are read at once: as much as fits into a processor's cache, several times."""

_MAX_INTERIM = 10
_MAX_FRAMING = 256 * 1024
_FAILURES = (OSError, http.client.HTTPException)
_NO_HEADERS = (email.errors.MissingHeaderBodySeparatorDefect, email.errors.FirstHeaderLineIsContinuationDefect)


class Direct:
    """A connection that is made by its first request, and again by a later one where it ended meanwhile.

    `context` has the authorities that are trusted where it is to speak TLS.
    """

    def __init__(self, context: ssl.SSLContext | None, sockets: Sockets) -> None:
        self._context, self._sockets = context, sockets
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0

    def exchange(self, message: Message) -> DirectAnswer:
        """Send a request and give its answer; raise WireError, and what reading the body raises."""
        connection = self._connected(message.origin)
        with contextlib.ExitStack() as failed:
            failed.callback(self.close)
            whole = _send(connection, message)
            received = _receive(connection, message.read)
            failed.pop_all()
        return DirectAnswer(received, self, reusable=whole)

    def keep(self) -> None:
        """Have the next request use the connection."""
        self._used = time.monotonic()

    def close(self) -> None:
        """Close it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self, origin: Origin) -> http.client.HTTPConnection:
        if self._connection is not None and self._connection.sock is not None:
            if time.monotonic() - self._used < KEEPALIVE and _silent(self._connection.sock):
                return self._connection
            self.close()
        self._connection = http.client.HTTPConnection(origin.host, origin.port)
        self._connection.response_class = _Response
        self._connection.auto_open = 0
        try:
            opened = self._sockets.take(origin.host, origin.port)
            self._connection.sock = self._secured(opened, origin.host) if origin.scheme == "https" else opened
        except TimeoutError as error:
            raise CantConnectError(f"no connection within {CONNECT_LIMIT:.0f} s") from error
        except OSError as error:
            raise CantConnectError(str(error)) from error
        except ValueError as error:  # a name that can't be looked up, or be in a certificate
            raise CantSendError(str(error)) from error
        return self._connection

    def _secured(self, opened: socket.socket, host: str) -> ssl.SSLSocket:
        assert self._context is not None, "TLS wants to know whom to trust"
        opened.settimeout(CONNECT_LIMIT)
        secured = self._context.wrap_socket(opened, server_hostname=host, do_handshake_on_connect=False)
        self._sockets.watch(secured)
        try:
            secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        return secured


class _Response(http.client.HTTPResponse):
    """An answer whose head is well-formed: what says twice how long it is, or in an unknown way, is refused."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = _Reader(self.fp.detach())

    def begin(self) -> None:
        """Read the head of the final answer; raise HTTPException."""
        super().begin()
        interim = 0
        while self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            interim += 1
            if interim > _MAX_INTERIM:
                raise http.client.HTTPException(f"{interim} interim answers, and none that is final")
            self.headers = None  # type: ignore[assignment]  # as it was before any head was read
            super().begin()
        lengths = set(self.headers.get_all("content-length", ()))
        if any(isinstance(defect, _NO_HEADERS) for defect in self.headers.defects):
            raise http.client.HTTPException("its headers are none")
        if len(lengths) > 1 or not all(length.isascii() and length.isdigit() for length in lengths):
            raise http.client.HTTPException(f"its Content-Length is none: {', '.join(sorted(lengths))[:100]}")
        if "transfer-encoding" in self.headers and not self.chunked:
            raise http.client.HTTPException("its Transfer-Encoding isn't chunked")


class _Reader(io.BufferedReader):
    """What comes: heads, the sizes of chunks and trailers in lines, which may be little more than the content is."""

    _left = _MAX_FRAMING

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise http.client.HTTPException(f"over {_MAX_FRAMING} bytes come that are no content")
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._left += len(data)
        return data


class DirectAnswer:
    """An answer; once its body is read to the end, and it is closed, the connection serves the next request."""

    def __init__(self, received: http.client.HTTPResponse, direct: Direct, *, reusable: bool) -> None:
        self._received, self._direct, self._reusable = received, direct, reusable
        self.status = received.status
        self.headers: Sequence[tuple[str, str]] = [(name, _unfolded(text)) for name, text in received.headers.items()]

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._read():
            yield piece

    def close(self) -> None:
        """Be done with it."""
        if self._reusable and self._received.isclosed():
            self._direct.keep()
        else:
            self._direct.close()
        self._received.close()

    def _read(self) -> bytes:
        reusable, self._reusable = self._reusable, False
        try:
            piece = self._received.read(PIECE)
        except _FAILURES as error:
            raise _meaning(error) from error
        if not piece and self._received.length:
            raise WireError(f"it ended {self._received.length} bytes too early")
        self._reusable = reusable
        return piece


def _send(connection: http.client.HTTPConnection, message: Message) -> bool:
    """Send a request, and tell whether all of it went: a server that has answered already may hang up meanwhile."""
    opened: socket.socket = connection.sock
    opened.settimeout(message.write)
    try:
        connection.putrequest(message.method, message.target, skip_host=True, skip_accept_encoding=True)
        for name, value in (("Host", message.host), *message.headers.items()):
            connection.putheader(name, value)
    except (http.client.InvalidURL, ValueError) as error:
        raise CantSendError(str(error)) from error
    try:
        connection.endheaders()
    except _FAILURES as error:
        raise _meaning(error) from error
    for piece in message.body:
        try:
            opened.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            return False
        except OSError as error:
            raise _meaning(error) from error
    return True


def _receive(connection: http.client.HTTPConnection, patience: float) -> http.client.HTTPResponse:
    connection.sock.settimeout(patience)
    try:
        return connection.getresponse()
    except _FAILURES as error:
        raise _meaning(error) from error


def _unfolded(value: str) -> str:
    """Give a header's value on one line (RFC 9112, 5.2)."""
    return value.replace("\r", "").replace("\n", "")


def _silent(opened: socket.socket) -> bool:
    """Tell whether nothing came that nobody asked for, such as the connection's end."""
    poll = select.poll()
    poll.register(opened, select.POLLIN)
    return not poll.poll(0)


def _meaning(error: Exception) -> WireError:
    if isinstance(error, TimeoutError):
        return TimedOutError(str(error))
    if isinstance(error, http.client.RemoteDisconnected):
        return WireError("the server hung up without an answer")
    return WireError(str(error) or type(error).__name__)
