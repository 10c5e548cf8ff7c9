"""A direct connection: what it takes for an answer, when it is used again, and how it fails."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from regkit.transport.direct import PIECE, Direct
from regkit.transport.sockets import Sockets
from regkit.transport.wire import CantConnectError, CantSendError, Message, TimedOutError, WireError
from tests.transport.support import Play, ask


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["length", "chunks", "early hints", "two interim answers"],
)
def test_a_connection_serves_many_requests(direct: Direct, play: Play, answer: bytes) -> None:
    """An answer that was read to its end, however that is told, leaves the connection to the next request."""
    server = play(answer, answer, answer)

    answers = [ask(direct, server.url) for _ in range(3)]

    assert [(found.status, body) for found, body in answers] == [(200, b"{}")] * 3
    assert server.ended.wait(10)
    assert len(server.connections) == 1


@pytest.mark.parametrize("status", [200, 204, 304])
def test_an_answer_without_a_body_ends_at_once(direct: Direct, play: Play, status: int) -> None:
    """HEAD, 204 and 304 have no body, whatever their length says (RFC 9112, 6.3)."""
    server = play(*2 * [b"HTTP/1.1 %d Whatever\r\nContent-Length: 5000\r\n\r\n" % status])

    bodies = [ask(direct, server.url, "HEAD" if status == 200 else "GET")[1] for _ in range(2)]

    assert bodies == [b"", b""]
    assert len(server.connections) == 1


def test_a_connection_that_the_server_ended_is_made_again(direct: Direct, play: Play) -> None:
    """A server may end an idle connection at any time: the next request doesn't fail of it."""
    server = play(*3 * [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"], hang_up=True)

    for number in range(1, 4):
        assert ask(direct, server.url)[1] == b"{}"
        if number == 3:
            assert server.ended.wait(10)
        while server.connections[-1].fileno() != -1:
            pass

    assert len(server.connections) == 3


def test_what_nobody_asked_for_ends_a_connection(direct: Direct, play: Play) -> None:
    """An answer before its request is never taken for the answer to it."""
    first, second = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    server = play(first)
    ask(direct, server.url)
    assert server.ended.wait(10)
    server.connections[0].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
    again = play(second)
    # Both ends are on this machine: what was sent has arrived.

    assert ask(direct, server.url)[1] == b"[]"
    assert len(again.connections) == 1


def test_a_large_body_comes_in_pieces(direct: Direct, play: Play) -> None:
    """Nothing is read at once that is larger than a piece."""
    data = os.urandom(9 * PIECE // 2)
    server = play(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data))

    pieces = list(direct.exchange(Message("GET", server.url, {}, iter(()), 10, 10)))

    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= PIECE


@pytest.mark.parametrize("header", ["c4n4ry\r\nX-Forged: yes", "c4n4ry\nb", "c4n4ry\0", "c4n4ry\u20ac"])
def test_no_header_is_smuggled(direct: Direct, listener: socket.socket, header: str) -> None:
    """A value with a line's end is refused before anything is sent, and isn't shown: it may be secret."""
    with pytest.raises(CantSendError, match=r"^its header X has characters that can't be sent$"):
        ask(direct, f"http://127.0.0.1:{listener.getsockname()[1]}/", headers={"X": header})

    connection, _ = listener.accept()
    with connection:
        assert connection.recv(1 << 16) == b""


def test_an_early_answer_is_heard(direct: Direct, listener: socket.socket) -> None:
    """A server that refuses an upload, and hangs up before all of it was sent, has its answer read."""

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")

    thread = threading.Thread(target=refuse)
    thread.start()
    size = 1 << 26
    pieces = (bytes(PIECE) for _ in range(size // PIECE))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

    answer, body = ask(direct, url, "PUT", headers={"Content-Length": str(size)}, content=pieces)
    thread.join(10)

    assert (answer.status, body) == (413, b"{}")


def test_an_answer_instead_of_reading_is_heard(direct: Direct, listener: socket.socket) -> None:
    """A server that has answered and takes no more, and doesn't hang up, has its answer read."""
    read = threading.Event()

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
            assert read.wait(10)

    thread = threading.Thread(target=refuse)
    thread.start()
    url, size = f"http://127.0.0.1:{listener.getsockname()[1]}/", 1 << 26
    message = Message("PUT", url, {"Content-Length": str(size)}, iter([bytes(size)]), read=10, write=0.2)
    answer = direct.exchange(message)
    read.set()

    assert (answer.status, b"".join(answer)) == (413, b"{}")
    answer.close()
    thread.join(10)


def test_a_write_is_whole(direct: Direct, listener: socket.socket) -> None:
    """All of a body is sent, however many parts the kernel takes it in."""
    data = os.urandom(64 * PIECE)
    received = bytearray()

    def receive() -> None:
        connection, _ = listener.accept()
        with connection:
            while not received.endswith(data[-PIECE:]):
                received.extend(connection.recv(PIECE))
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    reader = threading.Thread(target=receive)
    reader.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    answer, _ = ask(direct, url, "PUT", headers={"Content-Length": str(len(data))}, content=iter([data]))
    reader.join(10)

    assert answer.status == 201
    assert received.partition(b"\r\n\r\n")[2] == data


def test_silence_ends(direct: Direct, listener: socket.socket) -> None:
    """Nothing that comes, and nothing that is taken, is a timeout of reading and of writing."""
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

    with pytest.raises(TimedOutError):
        ask(direct, url, seconds=0.01)
    with pytest.raises(TimedOutError):
        ask(direct, url, "PUT", headers={"Content-Length": str(1 << 26)}, content=iter([bytes(1 << 26)]), seconds=0.01)


def test_an_abort_ends_what_is_under_way(listener: socket.socket) -> None:
    """A request that waits for its answer fails at once, and so does one that comes later."""
    sockets = Sockets()
    direct = Direct(None, sockets)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

    def abort() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            sockets.abort()

    thread = threading.Thread(target=abort)
    thread.start()
    with pytest.raises(WireError):
        ask(direct, url)
    thread.join(10)
    with pytest.raises(WireError):
        ask(direct, url)


def test_a_port_that_nobody_has(direct: Direct) -> None:
    """A host that doesn't listen can't be connected to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v2/"

    with pytest.raises(CantConnectError):
        ask(direct, url)
