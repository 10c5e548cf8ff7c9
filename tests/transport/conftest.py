"""A connection, and what a server does at its other end, by a script."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from regkit.transport.direct import Direct
from regkit.transport.sockets import Sockets
from tests.transport.support import Play, Scripted


@pytest.fixture
def direct() -> Iterator[Direct]:
    """Give a connection that isn't made yet."""
    sockets = Sockets()
    made = Direct(None, sockets)
    yield made
    made.close()
    sockets.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen on a port."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


@pytest.fixture
def play(listener: socket.socket) -> Iterator[Play]:
    """Have a script played at the listener; the connections are closed when the test is over."""
    played = []

    def begin(*answers: bytes, hang_up: bool = False) -> Scripted:
        played.append(Scripted(listener, iter(answers), hang_up))
        threading.Thread(target=played[-1].serve, daemon=True).start()
        return played[-1]

    yield begin
    for server in played:
        for connection in server.connections:
            connection.close()
