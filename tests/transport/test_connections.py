"""Connections: kept for the next request, and opened ahead of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from regkit.protocol.check import check
from regkit.transport.session import Session
from regkit.transport.sockets import Sockets


@dataclass
class Counting:
    """A server that answers every request with 200, and counts its connections and requests."""

    host: str
    opened: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    closed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    connections: int = 0
    requests: int = 0


@pytest.fixture
def server() -> Iterator[Counting]:
    """Serve until the test is over."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        counting = Counting(f"127.0.0.1:{listener.getsockname()[1]}")

        def serve(connection: socket.socket) -> None:
            with connection:
                while data := connection.recv(65536):
                    counting.requests += data.count(b"\r\n\r\n")
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            counting.closed.release()

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                counting.connections += 1
                counting.opened.release()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield counting
        listener.shutdown(socket.SHUT_RDWR)


def test_a_connection_is_kept_for_the_next_request(server: Counting) -> None:
    """Requests that come one after the other share one connection."""
    with Session() as session:
        for _ in range(5):
            session.run(server.host, check())

    assert (server.connections, server.requests) == (1, 5)


def test_what_was_opened_ahead_is_used(server: Counting) -> None:
    """A request takes the connection that was opened for it."""
    with Session() as session:
        session.open_ahead(server.host)
        assert server.opened.acquire(timeout=10)
        session.run(server.host, check())

    assert (server.connections, server.requests) == (1, 1)


def test_what_was_opened_in_vain_is_closed(server: Counting) -> None:
    """The session's end closes what no request took."""
    with Session() as session:
        session.open_ahead(server.host)

    assert server.closed.acquire(timeout=10)
    assert server.requests == 0


def test_what_is_opened_after_the_end_is_closed(server: Counting) -> None:
    """A connection that a thread was opening while the session ended isn't left behind."""
    session = Session()
    with session:
        pass
    session.open_ahead(server.host)

    assert server.closed.acquire(timeout=10)
    assert server.requests == 0


def test_a_host_that_is_not_there_is_no_failure_yet() -> None:
    """Opening ahead is only a favour: the request itself says what is wrong."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
    with Session() as session:
        session.open_ahead(host)


def test_what_was_opened_ahead_and_ended_is_not_used() -> None:
    """A server that didn't wait for the request gets it on another connection, and nothing fails."""
    sockets = Sockets()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        sockets.open(host, port)
        listener.accept()[0].close()
        taken = sockets.take(host, port)
        accepted, _ = listener.accept()

        with taken, accepted:
            assert taken.getsockname() == accepted.getpeername()
    sockets.close()
