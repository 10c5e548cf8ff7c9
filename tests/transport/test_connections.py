"""Connections: kept for the next request, opened ahead of it, and straight or by way of a proxy."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from regkit.errors import Unavailable
from regkit.protocol.check import check
from regkit.transport.session import Session
from regkit.transport.sockets import Sockets
from tests.support.proxy import proxy
from tests.support.registries import RunningRegistry, distribution
from tests.transport.support import Patient, http, serving


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


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Give a registry that takes requests as proxies get them, with a whole address (RFC 9112, 3.2.2)."""
    with distribution(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.mark.parametrize(
    ("no_proxy", "by_proxy"),
    [
        ("0.0.0.0", False),
        ("other.test, 0.0.0.0", False),
        ("*", False),
        ("0.0.0.0/8", False),
        ("0.0.0.0:{port}", False),
        ("0.0.0.0:1", True),
        ("10.0.0.0/8, 0.0.0.1", True),
        ("", True),
    ],
)
def test_a_host_that_needs_no_proxy(
    upstream: RunningRegistry, monkeypatch: pytest.MonkeyPatch, no_proxy: str, by_proxy: bool
) -> None:
    """NO_PROXY names hosts that are asked directly: the proxy sees no request for them, and those for all others."""
    port = upstream.host.rpartition(":")[2]
    with proxy(upstream.host) as between:
        host = f"0.0.0.0:{port}"  # this machine too, by a name that isn't taken for it
        monkeypatch.setenv("HTTP_PROXY", f"http://{between.host}")
        monkeypatch.setenv("NO_PROXY", no_proxy.format(port=port))
        with Patient(host) as session:
            session.run(host, check())

    assert [exchange.path for exchange in between.exchanges] == [f"http://{host}/v2/"] * by_proxy


@pytest.mark.parametrize("no_proxy", ["registry.invalid:443", "*.invalid:443"])
def test_the_schemes_port_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, no_proxy: str) -> None:
    """An exception with the port that an address leaves out is for that address."""
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with serving([http(502)] * 4) as between:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{between.host}")
        with Patient() as session, pytest.raises(Unavailable, match=r"^registry\.invalid can't be reached: "):
            session.run("registry.invalid", check())

    assert between.requests == []
