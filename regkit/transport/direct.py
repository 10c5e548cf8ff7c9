"""Direct: one connection to a server, as a transport of httpx, over the standard library's HTTP client.

httpx's own transport passes each 64 KiB through a dozen calls and three copies, and takes 30 ms to import (ADR 0603).
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
from collections.abc import Iterator
from typing import Any

import httpx

from regkit.transport.sockets import CONNECT_LIMIT, Sockets

KEEPALIVE = 30.0
PIECE = 256 * 1024
"""How many bytes are read at once: as much as fits into a processor's cache, several times."""

_MAX_INTERIM = 10
_MAX_FRAMING = 256 * 1024
_NO_HEADERS = (email.errors.MissingHeaderBodySeparatorDefect, email.errors.FirstHeaderLineIsContinuationDefect)


class Direct(httpx.BaseTransport):
    """A connection that is made by its first request, and again by a later one where it ended meanwhile.

    It raises httpx's errors; one request is under way at a time, until its answer's stream is closed.
    """

    def __init__(self, context: ssl.SSLContext, sockets: Sockets) -> None:
        self._context, self._sockets = context, sockets
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it and give the answer, whose body is still to be read; nothing is followed."""
        limits: dict[str, float] = request.extensions["timeout"]
        connection = self._connected(request.url)
        with contextlib.ExitStack() as failed:
            failed.callback(self.close)
            whole = _send(connection, request, limits["write"])
            answer = _answer(connection, limits["read"])
            failed.pop_all()
        headers = [(name.encode("latin-1"), _unfolded(value)) for name, value in answer.headers.items()]
        return httpx.Response(answer.status, headers=headers, stream=_Stream(answer, self, reusable=whole))

    def keep(self) -> None:
        """Have the next request use the connection."""
        self._used = time.monotonic()

    def close(self) -> None:
        """Close it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self, url: httpx.URL) -> http.client.HTTPConnection:
        if self._connection is not None and self._connection.sock is not None:
            if time.monotonic() - self._used < KEEPALIVE and _silent(self._connection.sock):
                return self._connection
            self.close()
        host = url.raw_host.decode("ascii")
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        self._connection = http.client.HTTPConnection(host, port)
        self._connection.response_class = _Answer
        self._connection.auto_open = 0
        with _translated(httpx.ConnectTimeout, httpx.ConnectError):
            opened = self._sockets.take(host, port)
            self._connection.sock = self._secured(opened, host) if url.scheme == "https" else opened
        return self._connection

    def _secured(self, opened: socket.socket, host: str) -> ssl.SSLSocket:
        opened.settimeout(CONNECT_LIMIT)
        secured = self._context.wrap_socket(opened, server_hostname=host, do_handshake_on_connect=False)
        self._sockets.watch(secured)
        try:
            secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        return secured


class _Answer(http.client.HTTPResponse):
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


class _Stream(httpx.SyncByteStream):
    """An answer's body; once it is read to its end, and closed, the connection serves the next request."""

    def __init__(self, answer: http.client.HTTPResponse, direct: Direct, *, reusable: bool) -> None:
        self._answer, self._direct, self._reusable = answer, direct, reusable

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._read():
            yield piece

    def close(self) -> None:
        if self._reusable and self._answer.isclosed():
            self._direct.keep()
        else:
            self._direct.close()
        self._answer.close()

    def _read(self) -> bytes:
        reusable, self._reusable = self._reusable, False
        with _translated(httpx.ReadTimeout, httpx.ReadError):
            piece = self._answer.read(PIECE)
        if not piece and self._answer.length:
            raise httpx.RemoteProtocolError(f"it ended {self._answer.length} bytes too early")
        self._reusable = reusable
        return piece


def _send(connection: http.client.HTTPConnection, request: httpx.Request, patience: float) -> bool:
    """Send a request, and tell whether all of it went: a server that has answered already may hang up meanwhile."""
    assert isinstance(request.stream, httpx.SyncByteStream)
    opened: socket.socket = connection.sock
    opened.settimeout(patience)
    with _translated(httpx.WriteTimeout, httpx.WriteError):
        try:
            connection.putrequest(
                request.method, request.url.raw_path.decode("ascii"), skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.headers.raw:
                connection.putheader(name, value)
        except (http.client.InvalidURL, ValueError) as error:
            raise httpx.LocalProtocolError(str(error)) from error
        connection.endheaders()
    for piece in filter(None, request.stream):
        with _translated(httpx.WriteTimeout, httpx.WriteError):
            try:
                _write(opened, piece)
            except (BrokenPipeError, ConnectionResetError):
                return False
    return True


def _write(opened: socket.socket, piece: bytes) -> None:
    """Write all of it; the limit is for each part that the kernel takes."""
    sent = opened.send(piece)
    left = memoryview(piece)[sent:]
    while left:
        left = left[opened.send(left) :]


def _answer(connection: http.client.HTTPConnection, patience: float) -> http.client.HTTPResponse:
    with _translated(httpx.ReadTimeout, httpx.ReadError):
        connection.sock.settimeout(patience)
        return connection.getresponse()


def _unfolded(value: str) -> bytes:
    """Give a header's value as sent, on one line (RFC 9112, 5.2)."""
    return value.replace("\r", "").replace("\n", "").encode("latin-1")


def _silent(opened: socket.socket) -> bool:
    """Tell whether nothing came that nobody asked for, such as the connection's end."""
    poll = select.poll()
    poll.register(opened, select.POLLIN)
    return not poll.poll(0)


@contextlib.contextmanager
def _translated(timeout: type[httpx.TimeoutException], broken: type[httpx.NetworkError]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except http.client.RemoteDisconnected as error:
        raise httpx.RemoteProtocolError("the server hung up without an answer") from error
    except OSError as error:
        raise broken(str(error)) from error
    except http.client.HTTPException as error:
        raise httpx.RemoteProtocolError(str(error) or type(error).__name__) from error
