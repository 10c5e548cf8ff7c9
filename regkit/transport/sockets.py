"""Sockets: opened ahead of their first request, known while they are open, and all ended at once by an abort."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import weakref
from collections import defaultdict
from typing import Any

CONNECT_LIMIT = 10.0


class Sockets:
    """Opens sockets, and hands out those that were opened ahead first; threads share it."""

    def __init__(self) -> None:
        self.aborted = self._closed = False
        self._ahead: defaultdict[tuple[str, int], list[socket.socket]] = defaultdict(list)
        self._known: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()

    def take(self, host: str, port: int) -> socket.socket:
        """Give one that was opened ahead, else a new one; raise OSError."""
        while (opened := self._opened(host, port)) is not None:
            if silent(opened):
                return opened
            opened.close()  # its server didn't wait so long
        opened = _connected(host, port)
        self.watch(opened)
        return opened

    def open(self, host: str, port: int) -> None:
        """Open one for a request to come; raise OSError."""
        opened = _connected(host, port)
        self.watch(opened)
        with self._lock:
            late = self._closed
            if not late:
                self._ahead[host, port].append(opened)
        if late:
            opened.close()

    def watch(self, opened: socket.socket) -> None:
        """Have it ended by an abort too: a new one, or the one by which TLS replaced it."""
        with self._lock:
            self._known.add(opened)
            aborted = self.aborted
        if aborted:
            self.abort()

    def abort(self) -> None:
        """Shut down every one that is open: what waits for an answer fails at once."""
        with self._lock:
            self.aborted = True
            known = tuple(self._known)
        for each in known:
            with contextlib.suppress(OSError):
                # The plain socket's method, also for TLS: there is no time for a farewell.
                socket.socket.shutdown(each, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close what nobody took, also what is being opened at this moment."""
        with self._lock:
            self._closed = True
            left = [opened for ahead in self._ahead.values() for opened in ahead]
            self._ahead.clear()
        for opened in left:
            opened.close()

    def _opened(self, host: str, port: int) -> socket.socket | None:
        with self._lock:
            ahead = self._ahead[host, port]
            return ahead.pop() if ahead else None


def _connected(host: str, port: int) -> socket.socket:
    name: Any = host.encode()  # text would pass through IDNA, whose tables take a while to load
    opened = socket.create_connection((name, port), CONNECT_LIMIT)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def silent(opened: socket.socket) -> bool:
    """Tell whether nothing came that nobody asked for, such as the connection's end."""
    poll = select.poll()
    poll.register(opened, select.POLLIN)
    return not poll.poll(0)
