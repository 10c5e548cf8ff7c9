from __future__ import annotations

import io
from typing import BinaryIO, cast

import pytest

from regkit.errors import Unavailable
from regkit.targets.resumed import BREAKS, PROGRESS, Resumed

DATA = bytes(range(256)) * 20_000


class Breaking(io.BytesIO):
    """A download that breaks, or silently ends, after some bytes."""

    def __init__(self, data: bytes, after: int, *, silent: bool = False) -> None:
        super().__init__(data[:after])
        self._silent = silent or after >= len(data)

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if not data and not self._silent:
            raise Unavailable("the connection broke")
        return data


def read(stream: Resumed, size: int = 100_000) -> bytes:
    data = b""
    while piece := stream.read(size):
        data += piece
    return data


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("after", [PROGRESS, 2 * PROGRESS, len(DATA)])
def test_it_goes_on_where_it_broke(after: int, *, silent: bool) -> None:
    """Every byte comes once, in order, however often the connection breaks, as long as there is progress."""
    opened: list[BinaryIO] = []

    def opener(offset: int) -> BinaryIO:
        opened.append(Breaking(DATA[offset:], after, silent=silent))
        return opened[-1]

    stream = Resumed(opener, len(DATA))
    assert read(stream) == DATA
    stream.close()

    assert len(opened) == -(-len(DATA) // after)
    assert all(each.closed for each in opened)


@pytest.mark.parametrize("after", [0, 1000])
def test_it_ends_where_nothing_comes(after: int) -> None:
    """Without progress the failure stands after a few breaks."""
    offsets = []

    def opener(offset: int) -> BinaryIO:
        offsets.append(offset)
        return Breaking(DATA[offset:], after)

    with pytest.raises(Unavailable, match="the connection broke"):
        read(Resumed(opener, len(DATA)))
    assert offsets == [after * n for n in range(BREAKS + 1)]


def test_an_end_that_comes_too_early() -> None:
    """Where nothing says why it ends, the error says where."""
    with pytest.raises(Unavailable, match=f"ended after 10 of {len(DATA)} bytes"):
        read(Resumed(lambda offset: cast(BinaryIO, io.BytesIO(DATA[offset:10])), len(DATA)))
