from __future__ import annotations

import gzip
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.targets.gunzip import Gunzip


def text(size: int) -> bytes:
    """Give bytes that compress by half."""
    return bytes(byte & 0x0F for byte in random.Random(size).randbytes(size))


@given(
    sizes=st.lists(st.integers(0, 200_000), min_size=1, max_size=3),
    padding=st.integers(0, 100_000),
    steps=st.lists(st.tuples(st.integers(0, 700_000), st.integers(0, 200_000), st.booleans()), max_size=8),
)
def test_reading_from_anywhere(sizes: list[int], padding: int, steps: list[tuple[int, int, bool]]) -> None:
    """Wherever one goes, the bytes are those that gzip gives, however many streams follow each other."""
    content = b"".join(map(text, sizes))
    packed = b"".join(gzip.compress(text(size), 1) for size in sizes) + bytes(padding)
    stream = Gunzip(io.BytesIO(packed))
    stream._spacing = 1000

    for offset, size, mark in steps:
        assert stream.seek(offset) == min(offset, len(content))
        if mark:
            stream.mark()
        assert stream.read(size) == content[offset : offset + size]
        other = stream.on(io.BytesIO(packed))
        other.seek(offset // 2)
        assert other.read(100) == content[offset // 2 : offset // 2 + 100]


@pytest.mark.parametrize("end", [3, 12, 1000, -9, -1])
def test_cut_off(end: int) -> None:
    """Data that ends within a stream is an error, not an end."""
    stream = Gunzip(io.BytesIO(gzip.compress(text(10_000), 1)[:end]))

    with pytest.raises(EOFError, match="cut off"):
        stream.read(20_000)
