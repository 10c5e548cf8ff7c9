"""The registry on a socket: cheroot reads and writes HTTP, `DevRegistry.handle` answers.

The only module, with connection.py and tls.py, that imports cheroot. Bodies are streamed both ways; nothing is printed:
what was answered, and what went wrong, is reported.
"""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import threading
import traceback as tracebacks
from collections.abc import Iterator
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from cheroot.server import Gateway, HTTPServer

from regkit.devregistry.answer import Fault
from regkit.devregistry.body import Incoming
from regkit.devregistry.call import UNKNOWN_SIZE
from regkit.devregistry.connection import Connection
from regkit.devregistry.tls import Certificate, TlsAdapter
from regkit.devregistry.upload import CHUNK
from regkit.errors import UsageError
from regkit.events import Note, Reporter, RequestServed, ignore
from regkit.protocol.flow import Request, Response

THREADS = 64
"""How many requests are worked on at once."""

IDLE = 60
"""After how many seconds a silent connection is closed."""

_SMALL = 64 * 1024
"""How much of an answer's content goes with its head, in bytes."""

_STOP = 0.1
"""How long a stop waits for a thread before its socket is shut down, in seconds."""


class Registry(Protocol):
    """What can be served: a `DevRegistry`, or one behind a guard and with quirks."""

    def handle(self, request: Request) -> Response:
        """Answer a request; called from many threads at once."""
        ...


class _Gateway(Gateway):
    """One request of one connection."""

    def respond(self) -> None:
        """Answer it. It is reported before the client can know the answer."""
        req, server = self.req, cast("_Server", self.req.server)
        headers = {_text(name).lower(): _text(value) for name, value in req.inheaders.items()}
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            req.close_connection = True  # where the next request begins can't be known
            length = "0"
        if "transfer-encoding" in headers and ("content-length" in headers or not req.chunked_read):
            req.close_connection = True  # somebody between may have read it otherwise (RFC 9112, 6.1)
        size = UNKNOWN_SIZE if req.chunked_read else int(length)
        body = Incoming(req.conn.rfile, size)
        request = Request(_text(req.method), _text(req.uri), headers, body)
        url = urlsplit(request.url)
        path = f"{url.path}?{url.query}" if url.query else url.path
        with server.connection(req.conn.socket):
            with server.sending(size != 0) as count:
                response = server.answer(request)
                if not body.drain():
                    req.close_connection = True
                uploads = count()
            server.report(RequestServed(request.method, path, response.status, uploads))
            self._send(response)

    def _send(self, response: Response) -> None:
        """Send an answer; what is small goes in one piece."""
        req, connection = self.req, self.req.conn
        left = 0 if req.method == b"HEAD" else int(response.headers.get("content-length", "0"))
        with response.body as body:
            first = body.read(min(left, _SMALL))
            connection.send(self._head(response) + first)
            left -= len(first)
            if left and isinstance(body, io.BufferedReader) and req.server.ssl_adapter is None:
                left -= connection.socket.sendfile(body, len(first))
            while left and (data := body.read(min(left, CHUNK))):
                connection.send(data)
                left -= len(data)
        if left:
            req.close_connection = True  # content that shrank: the client must not wait for the rest

    def _head(self, response: Response) -> bytes:
        """Write the status line and the headers."""
        req = self.req
        req.sent_headers = True  # cheroot has none to send
        if not req.server.can_add_keepalive_connection:
            req.close_connection = True
        headers = {**response.headers, "date": formatdate(usegmt=True), "server": req.server.server_name}
        if response.status not in (204, 304) and req.method != b"HEAD":
            headers.setdefault("content-length", "0")  # else a client waits for the connection's end
        if req.close_connection:
            headers["connection"] = "close"
        elif req.response_protocol == "HTTP/1.0":
            headers["connection"] = "keep-alive"
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        lines += [f"{name.title()}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class _Server(HTTPServer):
    """Cheroot's server, with what it says turned into events."""

    timeout = IDLE
    shutdown_timeout = cast("int", _STOP)
    expiration_interval = _STOP  # also how long its loop takes to notice a stop
    request_queue_size = 2 * THREADS
    keep_alive_conn_limit = 16 * THREADS
    max_request_header_size = 64 * 1024
    ConnectionClass = Connection

    def __init__(
        self, address: tuple[str, int], registry: Registry, report: Reporter, certificate: Certificate | None
    ) -> None:
        super().__init__(address, _Gateway, minthreads=THREADS, maxthreads=THREADS, server_name="regkit")
        self.ssl_adapter = TlsAdapter(certificate) if certificate else None
        self.report = report
        self._registry = registry
        self._lock = threading.Lock()
        self._uploads = 0
        self._connections_in_use: set[socket.socket] = set()

    def answer(self, request: Request) -> Response:
        """Ask the registry; a bug in it is a 500 for the client, and a note with its traceback for us."""
        try:
            return self._registry.handle(request)
        except Exception as error:
            self.error_log(f"{request.method} {request.url} failed: {error!r}", logging.ERROR, traceback=True)
            return Fault(500, "UNKNOWN", "the registry failed; its log says how").response()

    @contextlib.contextmanager
    def sending(self, counts: bool) -> Iterator[Any]:  # noqa: FBT001 (whether the request has content)
        """Count a request that sends content; give a function that tells how many do."""
        with self._lock:
            self._uploads += counts
        try:
            yield lambda: self._uploads
        finally:
            with self._lock:
                self._uploads -= counts

    @contextlib.contextmanager
    def connection(self, connection: socket.socket) -> Iterator[None]:
        """Remember a connection while it is worked on, so that a stop doesn't wait for its client."""
        self._connections_in_use.add(connection)
        try:
            yield
        finally:
            self._connections_in_use.discard(connection)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:  # noqa: FBT001, FBT002 (cheroot's)
        """Report what cheroot wants to be known; clients that go away aren't worth a word."""
        if level >= logging.WARNING:
            self.report(Note(f"{msg}\n{tracebacks.format_exc()}" if traceback else msg, warning=True))

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Bind a socket; one that can't be bound is closed."""
        try:
            socket_.bind(bind_addr)
        except OSError:
            socket_.close()
            raise
        return socket_

    def stop(self) -> None:
        """Stop at once: what is still being sent or received is cut off."""
        for connection in tuple(self._connections_in_use):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().stop()


class Server:
    """A registry that is being served. `address` is real: port 0 has become a number."""

    def __init__(self, server: _Server) -> None:
        host, port = server.bind_addr[:2]
        self.address: tuple[str, int] = (host, port)
        self._scheme = "https" if server.ssl_adapter else "http"
        self._thread = threading.Thread(target=server.serve, name="regkit registry", daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        """What a reference begins with: `127.0.0.1:5000`."""
        host, port = self.address
        if host in ("0.0.0.0", "::"):  # noqa: S104 (compared with, not bound to)
            host = "localhost"
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"{self._scheme}://{self.host}"

    def wait(self) -> None:
        """Wait until it is stopped from another thread, or Ctrl-C."""
        while self._thread.is_alive():
            self._thread.join(1)


@contextlib.contextmanager
def running(
    registry: Registry,
    address: str | tuple[str, int] = ("127.0.0.1", 0),
    report: Reporter = ignore,
    certificate: Certificate | None = None,
) -> Iterator[Server]:
    """Serve a registry for as long as the block runs; it can be asked as soon as the block begins.

    With a certificate it speaks TLS alone. Raise UsageError where that, or the address, can't be used.
    """
    where = parse_address(address) if isinstance(address, str) else address
    server = _Server(where, registry, report, certificate)
    try:
        server.prepare()
    except OSError as error:  # cheroot's own, with that of the last socket in its text
        reason = str(error).rpartition("] ")[2].rstrip(")")
        raise UsageError(
            f"can't listen on {where[0]}:{where[1]}: {reason}", hint="choose another --addr, as 127.0.0.1:0"
        ) from None
    try:
        yield Server(server)
    finally:
        server.stop()


def parse_address(text: str) -> tuple[str, int]:
    """Read `HOST:PORT`; a HOST with colons stands in brackets, none at all is every interface."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(
            f"not an address: {text!r}", hint="write HOST:PORT, as 127.0.0.1:5000; port 0 takes a free one"
        )
    return host or "0.0.0.0", int(port)  # noqa: S104 (`:5000` asks for that)


def _text(value: bytes) -> str:
    return value.decode("latin-1")
