"""A registry far away: a TCP forwarder that adds a round trip."""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.servers import address_of

_CHUNK = 256 * 1024
_BUFFERED = 8 * 1024 * 1024
_LIMIT = 60.0


@contextmanager
def far_away(upstream: str, delay: float) -> Iterator[str]:
    """Put a registry `delay` seconds away, each way; give the `host:port` to ask.

    Bytes are forwarded as they are, without a bound on what is under way at once, so only the time changes and not the
    throughput. A new connection costs a round trip before its first byte, as TCP's handshake does.
    """
    running = _Forwarder(address_of(upstream), delay)
    try:
        yield running.host
    finally:
        running.close()


@dataclass(slots=True)
class _Pipe:
    """One direction of a connection: what was read waits in `parcels` until it is due; b"" is the end."""

    source: socket.socket
    sink: socket.socket
    earliest: float
    parcels: deque[tuple[float, memoryview]] = field(default_factory=deque)
    size: int = 0
    read_all: bool = False
    blocked: bool = False
    done: bool = False


class _Forwarder:
    """One thread for all connections: threads of their own would fight for the interpreter."""

    def __init__(self, upstream: tuple[str, int], delay: float) -> None:
        self._upstream, self._delay = upstream, delay
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._ears, self._mouth = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._ears, selectors.EVENT_READ)
        self._out: dict[socket.socket, _Pipe] = {}  # by source
        self._in: dict[socket.socket, _Pipe] = {}  # by sink
        self._due: list[tuple[float, int, _Pipe]] = []
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all connections."""
        self._mouth.close()
        self._thread.join(_LIMIT)
        for each in (*self._out, self._listener, self._ears):
            each.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, events in self._selector.select(wait):
                if key.fileobj is self._ears:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                    continue
                assert isinstance(key.fileobj, socket.socket)
                if events & selectors.EVENT_READ and (pipe := self._out.get(key.fileobj)):
                    self._guarded(self._read, pipe)
                if events & selectors.EVENT_WRITE and (pipe := self._in.get(key.fileobj)):
                    self._guarded(self._write, pipe)
            while self._due and self._due[0][0] <= time.monotonic():
                pipe = heapq.heappop(self._due)[2]
                if not pipe.blocked and not pipe.done:
                    self._guarded(self._write, pipe)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(self._upstream)
        for each in (client, server):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        now = time.monotonic()
        for pipe in (_Pipe(client, server, now + 2 * self._delay), _Pipe(server, client, now)):
            self._out[pipe.source] = self._in[pipe.sink] = pipe
        for each in (client, server):
            self._selector.register(each, selectors.EVENT_READ)

    def _guarded(self, act: Callable[[_Pipe], None], pipe: _Pipe) -> None:
        try:
            act(pipe)
        except BlockingIOError:
            return
        except OSError:
            self._drop(pipe)
            return
        if pipe.done and self._out[pipe.sink].done:
            self._drop(pipe)
        else:
            self._listen(pipe.source)
            self._listen(pipe.sink)

    def _read(self, pipe: _Pipe) -> None:
        data = pipe.source.recv(_CHUNK)
        due = max(time.monotonic(), pipe.earliest) + self._delay
        pipe.read_all = not data
        pipe.size += len(data)
        pipe.parcels.append((due, memoryview(data)))
        heapq.heappush(self._due, (due, next(self._numbers), pipe))

    def _write(self, pipe: _Pipe) -> None:
        pipe.blocked = False
        now = time.monotonic()
        while pipe.parcels and pipe.parcels[0][0] <= now:
            due, data = pipe.parcels.popleft()
            if not data:
                pipe.done = True
                pipe.sink.shutdown(socket.SHUT_WR)
                return
            try:
                sent = pipe.sink.send(data)
            except BlockingIOError:
                sent = 0
            pipe.size -= sent
            if sent < len(data):
                pipe.parcels.appendleft((due, data[sent:]))
                pipe.blocked = True
                return

    def _listen(self, end: socket.socket) -> None:
        out, into = self._out[end], self._in[end]
        read = selectors.EVENT_READ if not out.read_all and out.size < _BUFFERED else 0
        wanted = read | (selectors.EVENT_WRITE if into.blocked else 0)
        known = self._selector.get_map().get(end)
        if known is None and wanted:
            self._selector.register(end, wanted)
        elif known is not None and not wanted:
            self._selector.unregister(end)
        elif known is not None and known.events != wanted:
            self._selector.modify(end, wanted)

    def _drop(self, pipe: _Pipe) -> None:
        for end in (pipe.source, pipe.sink):
            if self._selector.get_map().get(end) is not None:
                self._selector.unregister(end)
            gone = self._out.pop(end, None)
            self._in.pop(end, None)
            if gone is not None:
                gone.done = True
            end.close()
