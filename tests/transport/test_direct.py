"""A direct connection: what it takes for an answer, when it is used again, and how it fails."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from regkit.transport.direct import PIECE, Direct, DirectAnswer
from regkit.transport.sockets import Sockets
from regkit.transport.wire import CantConnectError, CantSendError, Message, TimedOutError, WireError


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


@pytest.fixture
def direct() -> Iterator[Direct]:
    """Give a connection that isn't made yet."""
    sockets = Sockets()
    made = Direct(ssl.create_default_context(), sockets)
    yield made
    made.close()
    sockets.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen on a port."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


Play = Callable[..., Scripted]


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


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "without an answer"),
        (b"SSH-2.0-Go\r\n\r\n", "SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 2\r\n\r\n{}", "headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "2, 3"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", "-2"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}", "two"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}", "Transfer-Encoding"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", "1 bytes too early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nX: %b\r\n\r\n{}" % bytes(70_000).replace(b"\0", b"x"), "65536"),
        (b"HTTP/1.1 200 OK\r\n%b\r\n{}" % (101 * b"X: y\r\n"), "100 headers"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50, "interim"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000, "no content"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 100_000, "no content"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;x=%060000d\r\n{\r\n" % 0 * 10, "no content"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_a_broken_answer_is_none(direct: Direct, play: Play, answer: bytes, reason: str) -> None:
    """What isn't whole, or can be read in two ways, is refused, with a reason; the next request begins anew."""
    server = play(answer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", hang_up=True)

    with pytest.raises(WireError, match=reason):
        ask(direct, server.url)

    assert ask(direct, server.url)[1] == b"{}"


def test_many_small_chunks_are_content(direct: Direct, play: Play) -> None:
    """A body of any length may come in chunks of one byte."""
    chunks = b"1\r\nx\r\n" * 200_000
    server = play(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")

    assert ask(direct, server.url)[1] == b"x" * 200_000


def test_a_folded_header_is_one_line(direct: Direct, play: Play) -> None:
    """A value over several lines, as old servers send it, holds no line's end."""
    server = play(b'HTTP/1.1 200 OK\r\nWarning: 299 - "a\r\n b"\r\nContent-Length: 2\r\n\r\n{}')

    answer, _ = ask(direct, server.url)

    assert dict(answer.headers)["Warning"] == '299 - "a b"'


@pytest.mark.parametrize("header", ["a\r\nX-Forged: yes", "a\nb"])
def test_no_header_is_smuggled(direct: Direct, listener: socket.socket, header: str) -> None:
    """A value with a line's end is refused before anything of the request is sent."""
    with pytest.raises(CantSendError):
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
    direct = Direct(ssl.create_default_context(), sockets)
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
