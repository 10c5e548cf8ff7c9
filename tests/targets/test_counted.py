"""How much of a source has been read is told, and what is read stays the same."""

from __future__ import annotations

import io
from typing import BinaryIO

from regkit.events import BlobProgress, BlobPushed
from regkit.oci.descriptor import Descriptor
from regkit.protocol.flow import Bytes
from regkit.targets.counted import STEP, CountedSource
from regkit.targets.repository import Repository
from tests.ops.support import serving

DATA = bytes(range(256)) * (3 * STEP // 256) + b"rest"


def test_what_is_read_is_told() -> None:
    """Each time that at least STEP bytes more have been read, in whatever pieces; each opening counts anew."""
    told: list[int] = []
    source = CountedSource(Bytes(DATA), told.append)

    for _ in range(2):
        with source.open() as stream:
            assert b"".join(iter(lambda: stream.read(STEP // 3), b"")) == DATA

    assert source.size == len(DATA)
    once = told[: len(told) // 2]
    assert told == once * 2
    assert all(later - before >= STEP for before, later in zip([0, *once], once, strict=False))
    assert len(DATA) - once[-1] < STEP


def test_pieces_that_come_are_not_waited_for() -> None:
    """`read1` gives what a stream has, `read` all that was asked for; closing closes the stream."""

    class Slow(io.BufferedIOBase):
        def read1(self, size: int = -1, /) -> bytes:
            return b"x" * min(size, 2)

        def read(self, size: int | None = -1, /) -> bytes:
            return b"x" * (size or 0)

    class Source:
        size = 10

        def open(self) -> BinaryIO:
            return inner  # type: ignore[return-value]

    inner = Slow()
    with CountedSource(Source(), lambda _: None).open() as stream:
        assert stream.read1(7) == b"xx"  # type: ignore[attr-defined]
        assert stream.read(7) == b"x" * 7

    assert inner.closed


def test_the_end_is_told() -> None:
    """When a reader finds nothing more, and not when it has the last byte; each time that it's read."""
    ends: list[str] = []
    source = CountedSource(Bytes(DATA), ended=lambda: ends.append("end"))

    with source.open() as stream:
        assert stream.read(len(DATA)) == DATA
        assert ends == []
        assert stream.read(1) == b""
    assert ends == ["end"]
    with source.open() as stream:
        assert b"".join(iter(lambda: stream.read1(STEP), b"")) == DATA  # type: ignore[attr-defined]

    assert ends == ["end"] * 2


def test_a_large_blob_is_told_while_it_is_sent() -> None:
    """What is on its way grows, and ends with its arrival; a small blob only arrives."""
    with serving() as served:
        repository = Repository(served.session, served.reference())
        large, small = (Descriptor.of("application/octet-stream", data) for data in (DATA, b"small"))
        for descriptor, data in ((large, DATA), (small, b"small")):
            repository.push(descriptor, Bytes(data))

    sent = [event.sent for event in served.events if isinstance(event, BlobProgress)]
    assert sent == sorted(set(sent))
    assert len(sent) >= 2
    assert served.events[len(sent) :] == [BlobPushed(large), BlobPushed(small)]
