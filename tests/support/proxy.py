"""What stands between a client and a registry: an HTTP proxy that does as it is told, and a tunnel."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

from tests.support.servers import address_of

_CHUNK = 256 * 1024
_HEAD_LIMIT = 64 * 1024
_LIMIT = 60.0
_TLS_HANDSHAKE = b"\x16"


@dataclass(slots=True)
class Exchange:
    """A request that came by: `path` with its query, `headers` with lower-case names, when it came, what it got."""

    method: str
    path: str
    headers: Mapping[str, str]
    at: float = field(default_factory=time.monotonic)
    status: int = 0
    """0 where no answer went back."""


class Rule:
    """What becomes of requests: `method` and `path`, both regular expressions, the latter searched for.

    The first `passing` of them pass, then it's the next `times` of them.
    """

    def __init__(self, method: str, path: str, times: int, passing: int = 0) -> None:
        self.seen: list[Exchange] = []
        self._method, self._path, self._times = re.compile(method), re.compile(path), times
        self._passing = passing

    def take(self, exchange: Exchange) -> bool:
        """Tell whether this request is one of them; then it's counted."""
        fits = self._method.fullmatch(exchange.method) and self._path.search(exchange.path)
        if not fits or len(self.seen) >= self._times:
            return False
        if self._passing:
            self._passing -= 1
            return False
        self.seen.append(exchange)
        return True


class Hold(Rule):
    """Requests that wait at the proxy: `held` is set when one does, `release` lets all go on to the registry."""

    def __init__(self, method: str, path: str, times: int, passing: int = 0) -> None:
        super().__init__(method, path, times, passing)
        self.held, self._open = threading.Event(), threading.Event()
        self.dropped = False

    def release(self, *, drop: bool = False) -> None:
        """Let them go on; `drop`: let the registry never see them."""
        self.dropped = drop
        self._open.set()

    def wait(self) -> bool:
        """Wait for the release; False where the request is dropped."""
        self.held.set()
        self._open.wait()
        return not self.dropped


class Answer(Rule):
    """Requests that the proxy answers itself; the registry never sees them."""

    def __init__(
        self, *, method: str, path: str, times: int, status: int, headers: Callable[[], Mapping[str, str]], body: bytes
    ) -> None:
        super().__init__(method, path, times)
        self.status, self.headers, self.body = status, headers, body


class Cut(Rule):
    """Requests whose connection is reset: after so many bytes of their body, or (None) instead of the answer."""

    def __init__(self, method: str, path: str, times: int, after: int | None) -> None:
        super().__init__(method, path, times)
        self.after = after

    def take(self, exchange: Exchange) -> bool:
        """Tell whether this request is one of them: with a body that is long enough."""
        return int(exchange.headers.get("content-length", "0")) >= (self.after or 0) and super().take(exchange)


@dataclass(frozen=True, slots=True)
class _Server:
    connection: socket.socket
    reader: BinaryIO

    @property
    def is_gone(self) -> bool:
        """Whether the registry closed the connection while it was idle."""
        return bool(select.select([self.connection], [], [], 0)[0])


AnyRule = TypeVar("AnyRule", bound=Rule)


class Proxy:
    """An HTTP proxy in front of `upstream` (`host:port`); `host` is its own. `Host` passes, so Locations lead back."""

    def __init__(self, upstream: str) -> None:
        self.exchanges: list[Exchange] = []
        self._upstream = address_of(upstream)
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def hold(self, method: str, path: str, times: int = 1, *, passing: int = 0) -> Hold:
        """Let requests wait until they are released, after `passing` others."""
        return self._add(Hold(method, path, times, passing))

    def answer(
        self,
        method: str,
        path: str,
        status: int,
        headers: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
        *,
        body: bytes = b"",
        times: int = 1,
    ) -> Answer:
        """Answer requests here; `headers` may be made when the answer is."""
        made = headers if callable(headers) else lambda: headers or {}
        rule = Answer(method=method, path=path, times=times, status=status, headers=made, body=body)
        return self._add(rule)

    def cut(self, method: str, path: str, after: int | None, times: int = 1) -> Cut:
        """Reset the connection after so many bytes of a body that has as many; with None, when the registry answers."""
        return self._add(Cut(method, path, times, after))

    def requests(self, method: str, path: str = "") -> list[Exchange]:
        """Give what came by."""
        with self._lock:
            return [e for e in self.exchanges if e.method == method and re.search(path, e.path)]

    def close(self) -> None:
        """End it, and all that it holds; what is held never reaches the registry."""
        with self._lock:
            rules, sockets = list(self._rules), list(self._sockets)
        for rule in rules:
            if isinstance(rule, Hold):
                rule.release(drop=True)
        for each in (self._listener, *sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_LIMIT)
        self._listener.close()

    def _add(self, rule: AnyRule) -> AnyRule:
        with self._lock:
            self._rules.append(rule)
        return rule

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with (
            self._open(client),
            contextlib.suppress(OSError, ValueError),
            client.makefile("rb") as reader,
            contextlib.ExitStack() as stack,
        ):
            server: _Server | None = None
            if reader.peek(1)[:1] == _TLS_HANDSHAKE:
                return  # as a server without TLS, which can't read that
            while head := _read_head(reader):
                if server is None or server.is_gone:
                    connection = stack.enter_context(self._open(socket.create_connection(self._upstream)))
                    server = _Server(connection, stack.enter_context(connection.makefile("rb")))
                if not self._relay(head, reader, client, server):
                    return

    def _relay(self, head: bytes, reader: BinaryIO, client: socket.socket, server: _Server) -> bool:
        """Handle one request; tell whether the connection can take another."""
        exchange = _request(head)
        with self._lock:
            self.exchanges.append(exchange)
            rule = next((rule for rule in self._rules if rule.take(exchange)), None)
        if isinstance(rule, Hold) and not rule.wait():
            return False
        if isinstance(rule, Answer):
            _copy_body(reader, exchange.headers, lambda _: None)
            client.sendall(_written(rule.status, rule.headers(), b"" if exchange.method == "HEAD" else rule.body))
            exchange.status = rule.status
            return True
        send = server.connection.sendall
        send(head)
        if isinstance(rule, Cut) and rule.after is not None:
            send(reader.read(rule.after))
            _reset(client)
            return False
        with contextlib.suppress(ConnectionError):  # a registry may answer before it has read all
            _copy_body(reader, exchange.headers, send)
        return self._answer(exchange, rule, server.reader, client)

    def _answer(self, exchange: Exchange, rule: Rule | None, server: BinaryIO, client: socket.socket) -> bool:
        head = _read_head(server)
        if not head:
            return False
        if isinstance(rule, Cut):
            _reset(client)
            return False
        status, headers = int(head.split(b" ", 2)[1]), _headers(head)
        exchange.status = status
        client.sendall(head)
        if exchange.method != "HEAD" and status not in (204, 304):
            _copy_body(server, headers, client.sendall, to_the_end=True)
        return headers.get("connection", "").lower() != "close"

    @contextmanager
    def _open(self, connection: socket.socket) -> Iterator[socket.socket]:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._sockets.add(connection)
        try:
            yield connection
        finally:
            with self._lock:
                self._sockets.discard(connection)
            connection.close()


@contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    """Run a scripted proxy in front of a registry."""
    running = Proxy(upstream)
    try:
        yield running
    finally:
        running.close()


@contextmanager
def tunnel(upstream: str) -> Iterator[tuple[str, list[str]]]:
    """Run a proxy for `HTTPS_PROXY` that leads to `upstream` whatever host is asked for; give its URL and those."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        def serve(client: socket.socket) -> None:
            with client, socket.create_connection(address_of(upstream)) as server, contextlib.suppress(OSError):
                with client.makefile("rb") as reader:  # a client says nothing more before it's answered
                    asked.append(_read_head(reader).split()[1].decode())
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join(_LIMIT)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(_LIMIT)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _read_head(reader: BinaryIO) -> bytes:
    """Read up to the empty line; b"" where the connection ends before."""
    lines = bytearray()
    while line := reader.readline(_HEAD_LIMIT):
        lines += line
        if line == b"\r\n":
            return bytes(lines)
        if len(lines) > _HEAD_LIMIT:
            break
    return b""


def _request(head: bytes) -> Exchange:
    method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    return Exchange(method, path, _headers(head))


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line)
    return {name.lower(): value.strip() for name, _, value in lines}


def _copy_body(
    reader: BinaryIO, headers: Mapping[str, str], write: Callable[[bytes], None], *, to_the_end: bool = False
) -> None:
    """Pass a body on, framed as it came; `to_the_end`: without a length it lasts as long as the connection."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        size = -1
        while size:
            line = reader.readline(_HEAD_LIMIT)
            size = int(line.split(b";")[0], 16)
            write(line)
            _copy(reader, size, write)
            write(reader.readline(_HEAD_LIMIT))
    elif "content-length" in headers:
        _copy(reader, int(headers["content-length"]), write)
    elif to_the_end:
        while data := reader.read(_CHUNK):
            write(data)


def _copy(reader: BinaryIO, size: int, write: Callable[[bytes], None]) -> None:
    while size:
        data = reader.read(min(size, _CHUNK))
        if not data:
            raise ConnectionResetError("the body ended early")
        size -= len(data)
        write(data)


def _written(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body


def _reset(connection: socket.socket) -> None:
    """Close so that the other side gets a reset instead of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
