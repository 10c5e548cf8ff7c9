"""Sockets for httpcore: opened ahead of their first request, and read and written in pieces that large blobs want.

httpcore's own streams read 64 KiB at a time, and copy what is left of a piece after each part that the kernel took.
Each piece costs a dozen calls in h11 and httpcore, between which threads pass the interpreter around.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpcore

CONNECT_LIMIT = 10.0
PIECE = 256 * 1024
"""How many bytes are read and written at once: as much as fits into a processor's cache, several times."""


class Sockets(httpcore.SyncBackend):
    """Opens sockets, and hands out those that were opened ahead first."""

    def __init__(self) -> None:
        self._streams: defaultdict[tuple[str, int], list[httpcore.NetworkStream]] = defaultdict(list)
        self._lock = threading.Lock()
        self._closed = False

    def open(self, host: str, port: int) -> None:
        """Open one for a request to come; raise httpcore's errors."""
        stream = super().connect_tcp(host, port, timeout=CONNECT_LIMIT)
        with self._lock:
            late = self._closed
            if not late:
                self._streams[host, port].append(stream)
        if late:
            stream.close()

    def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore.NetworkStream:
        """Give one that was opened ahead, else a new one."""
        with self._lock:
            streams = self._streams[host, port]
            stream = streams.pop() if streams else None
        return _Stream(stream or super().connect_tcp(host, port, *args, **options))

    def close(self) -> None:
        """Close what nobody took, also what is being opened at this moment."""
        with self._lock:
            self._closed = True
            streams = [stream for opened in self._streams.values() for stream in opened]
            self._streams.clear()
        for stream in streams:
            stream.close()


class _Stream(httpcore.NetworkStream):
    """A connection, with or without TLS: httpcore's own one opens it, and its socket is read and written here."""

    def __init__(self, opened: httpcore.NetworkStream) -> None:
        self._opened = opened
        self._socket: socket.socket = opened.get_extra_info("socket")

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, also more than asked for: h11 takes pieces of any size."""
        with _translated(httpcore.ReadTimeout, httpcore.ReadError):
            self._socket.settimeout(timeout)
            return self._socket.recv(max(max_bytes, PIECE))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it; `timeout` is for each part that the kernel takes."""
        left = memoryview(buffer)
        with _translated(httpcore.WriteTimeout, httpcore.WriteError):
            self._socket.settimeout(timeout)
            while left:
                left = left[self._socket.send(left) :]

    def close(self) -> None:
        """Close it."""
        self._opened.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Go on in TLS."""
        return _Stream(self._opened.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Tell what httpcore's own stream tells."""
        return self._opened.get_extra_info(info)


@contextlib.contextmanager
def _translated(timeout: type[Exception], broken: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise timeout(error) from error
    except OSError as error:
        raise broken(error) from error
