"""Answers that are none: what is cut off, ambiguous, endless or too slow, and what is only unusual."""

from __future__ import annotations

from itertools import count

import pytest

from regkit.transport.direct import Direct
from regkit.transport.strict import SLOWEST, Patience
from regkit.transport.wire import TimedOutError, WireError
from tests.transport.support import Play, ask


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 200", "in the middle"),
        (b"HTTP/1.1 200 OK\r\n", "in the middle"),
        (b"HTTP/1.1 404 Not Found\r\nServer: x\r\n", "in the middle"),
        (b"HTTP/1.1 200 OK\r\nLocation: /v2/a", "in the middle"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "in the middle"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "none that is final"),
        (b"SSH-2.0-Go\r\n\r\n", "SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 2\r\n\r\n{}", "headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "2, 3"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", "-2"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}", "two"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n{}" % (5000 * b"9"), "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nX: a\rContent-Length: 2\r\n\r\n{}", "headers"),
        (b"HTTP/1.1 200 OK\r\nX: a\r\r\nContent-Length: 2\r\n\r\n{}", "headers"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}", "Transfer-Encoding"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", "1 bytes too early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}", r"IncompleteRead\(0 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}", r"IncompleteRead\(0 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", "in the middle"),
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


@pytest.mark.parametrize(
    "length", [b"2 ", b"\r\n 2", b"2\r\nContent-Length: 2"], ids=["white space", "folded", "twice the same"]
)
def test_an_unusual_length_is_one(direct: Direct, play: Play, length: bytes) -> None:
    """White space around a value, and the same length twice, can be read in one way only."""
    server = play(*2 * [b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\nX: y \r\n\r\n{}" % length])

    answers = [ask(direct, server.url) for _ in range(2)]

    assert [body for _, body in answers] == [b"{}", b"{}"]
    assert dict(answers[0][0].headers)["X"] == "y"
    assert len(server.connections) == 1


def test_two_ways_to_tell_the_end_end_the_connection(direct: Direct, play: Play) -> None:
    """Chunks count where a length is given too, and nothing is asked after such an answer."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n"
    answer = head + b"2\r\n{}\r\n0\r\n\r\n"
    server = play(answer)

    assert ask(direct, server.url)[1] == b"{}"
    again = play(answer)
    assert ask(direct, again.url, seconds=1)[1] == b"{}"
    assert len(again.connections) == 1


def test_patience_is_for_what_moves() -> None:
    """A long wait is allowed once, and again after as many bytes as come in that time; a trickle runs out of it."""
    patience = Patience(60)
    for _ in range(10):
        patience.spend(59, 60 * SLOWEST)
    patience.spend(59, 1)

    with pytest.raises(TimeoutError):
        patience.spend(2, 1)


def test_an_answer_that_trickles(direct: Direct, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends less than is worth waiting for is a timeout, though something comes all the time."""
    hours = count(step=3600)
    monkeypatch.setattr("regkit.transport.strict.time.monotonic", lambda: float(next(hours)))
    server = play(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with pytest.raises(TimedOutError):
        ask(direct, server.url)
