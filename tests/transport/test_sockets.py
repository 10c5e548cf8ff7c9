"""Streams over real sockets: pieces of any size, whole writes, httpcore's errors."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import httpcore
import pytest

from regkit.transport.sockets import PIECE, Sockets


@pytest.fixture
def ends() -> Iterator[tuple[httpcore.NetworkStream, socket.socket]]:
    """Give a stream, and the socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = Sockets().connect_tcp("127.0.0.1", listener.getsockname()[1], timeout=10)
        accepted, _ = listener.accept()
        with accepted:
            yield stream, accepted
        stream.close()


def test_a_read_takes_what_is_there(ends: tuple[httpcore.NetworkStream, socket.socket]) -> None:
    """What came is read at once, up to a piece, though httpcore asks for less."""
    stream, other = ends
    data = os.urandom(PIECE // 4)
    other.sendall(data)
    own: socket.socket = stream.get_extra_info("socket")
    while len(own.recv(len(data), socket.MSG_PEEK)) < len(data):
        pass

    assert stream.read(10, timeout=10) == data


def test_a_write_is_whole(ends: tuple[httpcore.NetworkStream, socket.socket]) -> None:
    """All of a piece is sent, however many parts the kernel takes it in."""
    stream, other = ends
    data = os.urandom(64 * PIECE)
    received = bytearray()

    def receive() -> None:
        while len(received) < len(data):
            received.extend(other.recv(PIECE))

    reader = threading.Thread(target=receive)
    reader.start()
    stream.write(data, timeout=10)
    reader.join(10)

    assert bytes(received) == data


def test_silence_ends_with_httpcores_errors(ends: tuple[httpcore.NetworkStream, socket.socket]) -> None:
    """Nothing that comes, and nothing that is taken, is a timeout of reading and of writing."""
    stream, _ = ends

    with pytest.raises(httpcore.ReadTimeout):
        stream.read(10, timeout=0.01)
    with pytest.raises(httpcore.WriteTimeout):
        stream.write(bytes(1 << 26), timeout=0.01)


def test_a_broken_connection_is_httpcores_error(ends: tuple[httpcore.NetworkStream, socket.socket]) -> None:
    """A socket that was shut down, as an abort does it, gives nothing and can't be written."""
    stream, _ = ends
    own: socket.socket = stream.get_extra_info("socket")
    own.shutdown(socket.SHUT_RDWR)

    assert stream.read(10, timeout=10) == b""
    with pytest.raises(httpcore.WriteError):
        stream.write(b"x", timeout=10)
