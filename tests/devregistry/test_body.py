from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.devregistry.body import Incoming
from regkit.devregistry.call import UNKNOWN_SIZE
from regkit.devregistry.connection import Reader
from regkit.errors import Unavailable


@contextmanager
def sent(data: bytes, *, more: bool = False) -> Iterator[Reader]:
    """Give a reader of a socket to which a client has sent this; the client is gone, unless it has `more`."""
    client, server = socket.socketpair()
    with client, server, Reader(server) as reader:
        client.sendall(data)
        if not more:
            client.close()
        yield reader


def in_chunks(pieces: Sequence[bytes], extension: str = "", trailers: Sequence[str] = ()) -> bytes:
    chunks = [b"%x%s\r\n%s\r\n" % (len(piece), extension.encode(), piece) for piece in pieces if piece]
    return b"".join([*chunks, b"0\r\n", *(f"{line}\r\n".encode() for line in trailers), b"\r\n"])


pieces = st.lists(st.binary(max_size=40), max_size=5)


@given(pieces, st.sampled_from(["", ";a", " ; a=b"]), st.lists(st.just("Digest: x"), max_size=3), st.integers(1, 99))
def test_chunks(content: list[bytes], extension: str, trailers: list[str], size: int) -> None:
    """Chunks give what they carry, with extensions and trailers too, and leave the next request where it is."""
    with sent(in_chunks(content, extension, trailers) + b"GET") as reader:
        body = Incoming(reader, UNKNOWN_SIZE)
        with body.open() as stream:
            assert b"".join(iter(lambda: stream.read(size), b"")) == b"".join(content)
        assert body.drain()
        assert reader.read() == b"GET"


@given(st.binary(max_size=99), st.integers(1, 99))
def test_what_is_not_read_is_drained(content: bytes, wanted: int) -> None:
    """After a drain the next request comes, in chunks or with a length, however much was read before."""
    for data, size in ((in_chunks([content]), UNKNOWN_SIZE), (content, len(content))):
        with sent(data + b"GET") as reader:
            body = Incoming(reader, size)
            body.readinto(memoryview(bytearray(wanted)))

            assert body.drain()
            assert reader.read() == b"GET"


def test_a_chunk_is_read_as_it_comes() -> None:
    """A chunk that says it is huge costs no memory, and what has come of it is there at once."""
    with sent(b"10000000000\r\nhello", more=True) as reader:
        buffer = memoryview(bytearray(100))

        count = Incoming(reader, UNKNOWN_SIZE).readinto(buffer)

        assert bytes(buffer[:count]) == b"hello"


@pytest.mark.parametrize(
    ("data", "size"),
    [
        pytest.param(b"abc", 4, id="too few bytes"),
        pytest.param(b"", UNKNOWN_SIZE, id="no chunk"),
        pytest.param(b"4\r\nabc", UNKNOWN_SIZE, id="too few bytes in a chunk"),
        pytest.param(b"3\r\nabcd\r\n0\r\n\r\n", UNKNOWN_SIZE, id="too many bytes in a chunk"),
        pytest.param(b"zz\r\nabc\r\n0\r\n\r\n", UNKNOWN_SIZE, id="no number"),
        pytest.param(b"-3\r\nabc\r\n0\r\n\r\n", UNKNOWN_SIZE, id="a negative number"),
        pytest.param(b"0x3\r\nabc\r\n0\r\n\r\n", UNKNOWN_SIZE, id="a prefix"),
        pytest.param(b"3;" + b"x" * 9000 + b"\r\nabc\r\n0\r\n\r\n", UNKNOWN_SIZE, id="a line that is too long"),
        pytest.param(b"3\r\nabc\r\n", UNKNOWN_SIZE, id="no last chunk"),
        pytest.param(b"3\r\nabc\r\n0\r\n", UNKNOWN_SIZE, id="no end"),
        pytest.param(b"0\r\n" + b"a: b\r\n" * 9999 + b"\r\n", UNKNOWN_SIZE, id="too many trailers"),
    ],
)
def test_what_breaks_off(data: bytes, size: int) -> None:
    """A body that ends early, or isn't one, is never taken for a whole one; nothing follows on its connection."""
    with sent(data) as reader:
        body, buffer = Incoming(reader, size), memoryview(bytearray(10))

        assert not body.drain()
        with pytest.raises(Unavailable, match="broke off"):
            body.readinto(buffer)


def test_nothing_at_hand_is_said_at_once() -> None:
    """Whether something was read ahead is known without waiting for more."""
    with sent(b"one\ntwo\n", more=True) as reader:
        assert not reader.has_data()
        assert reader.readline() == b"one\n"
        assert reader.has_data()
        assert reader.readline() == b"two\n"
        assert not reader.has_data()
