"""Servers that misbehave on purpose: raw sockets, one request a connection, a script of answers."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from regkit.events import Event
from regkit.protocol.flow import Request
from regkit.transport.credentials import Credentials
from regkit.transport.direct import Direct, DirectAnswer
from regkit.transport.session import Session
from regkit.transport.wire import Message

HANG = None
"""An answer that never comes."""


class Stalling(bytes):
    """An answer after which nothing more comes, and the connection stays open."""


WRONG_SCHEME = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
"""What Go's server says to plain http where it speaks TLS."""


def http(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """Write an answer; `length` is a Content-Length that needs not be true."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {size}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class RawServer:
    """What a server got, and where it is."""

    address: tuple[str, int]
    requests: list[bytes] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        """What a reference begins with."""
        return f"127.0.0.1:{self.address[1]}"

    def header(self, number: int, name: str) -> str | None:
        """Give a header of a request."""
        head = self.requests[number].partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        found = dict(line.split(": ", 1) for line in head)
        return {key.lower(): value for key, value in found.items()}.get(name.lower())

    @property
    def lines(self) -> list[str]:
        """The first line of each request."""
        return [request.partition(b"\r\n")[0].decode() for request in self.requests]


@contextlib.contextmanager
def serving(
    answers: Sequence[bytes | None], *, tls: ssl.SSLContext | None = None, to_plain: bytes = b""
) -> Iterator[RawServer]:
    """Give each request the next answer, then hang up; `to_plain` is for plain http where TLS is spoken."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    server = RawServer(listener.getsockname())
    script, lock = iter(answers), threading.Lock()
    open_connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if (connection.recv(1, socket.MSG_PEEK) == b"\x16") != (tls is not None):
                connection.recv(1 << 16)
                connection.sendall(to_plain)
                return
            wire = tls.wrap_socket(connection, server_side=True) if tls else connection
            with contextlib.suppress(OSError), wire:
                request = _receive(wire)
                if request:
                    with lock:
                        server.requests.append(request)
                        answer = next(script)
                    server.asked.set()
                    _answer(wire, answer)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_connections.append(connection)
                thread = threading.Thread(target=serve, args=(connection,), daemon=True)
                threads.append(thread)
                thread.start()

    threads: list[threading.Thread] = []
    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join(timeout=10)
        listener.close()
        for connection in open_connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(timeout=10)


def _answer(connection: socket.socket, answer: bytes | None) -> None:
    """Send it, and wait for the client to hang up: closing with bytes unread would reset the connection."""
    if answer is not HANG:
        connection.sendall(answer)
        if not isinstance(answer, Stalling):
            connection.shutdown(socket.SHUT_WR)
    while connection.recv(1 << 16):
        pass


def _receive(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(1 << 16)
        if not received:
            return b""
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = (int(lengths[0].partition(b":")[2]) if lengths else 0) - len(body)
    while left > 0 and (received := connection.recv(1 << 16)):
        data, left = data + received, left - len(received)
    return data


class Patient(Session):
    """A session that never really waits, and remembers for how long it would have."""

    def __init__(self, *hosts: str, now: float = 0.0, credentials: Credentials | None = None) -> None:
        self.waits: list[float] = []
        self.events: list[Event] = []
        super().__init__(credentials, plain_http=hosts, report=self.events.append, now=lambda: now)

    def sleep(self, seconds: float) -> None:
        """Don't wait."""
        self.waits.append(seconds)


def get(path: str = "/v2/", *, stream: bool = False) -> Request:
    """Make a request without a scope."""
    return Request("GET", path, stream=stream)


@dataclass
class Scripted:
    """A server on one port: `answers` has what to send for each request, on whichever connection it comes."""

    listener: socket.socket
    answers: Iterator[bytes]
    hang_up: bool
    connections: list[socket.socket] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/v2/"

    def serve(self) -> None:
        """Serve one connection after the other, until the script is over."""
        for answer in self.answers:
            if not self.connections or self.hang_up:
                self.connections.append(self.listener.accept()[0])
            connection = self.connections[-1]
            while not connection.recv(1 << 16).endswith(b"\r\n\r\n"):
                pass
            connection.sendall(answer)
            if self.hang_up:
                connection.close()
        self.ended.set()


Play = Callable[..., Scripted]


def ask(
    direct: Direct,
    url: str,
    method: str = "GET",
    *,
    headers: dict[str, str] | None = None,
    content: Iterable[bytes] = (),
    seconds: float = 10,
) -> tuple[DirectAnswer, bytes]:
    """Send a request and read the answer to its end."""
    answer = direct.exchange(Message(method, url, headers or {}, iter(content), seconds, seconds))
    try:
        return answer, b"".join(answer)
    finally:
        answer.close()
