"""A source that tells how much of it has been read."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, cast

from regkit.protocol.flow import Source

STEP = 1024 * 1024
"""After how many bytes it is told again."""


class CountedSource:
    """`source`, telling `progress` how many bytes have been read, from 0 on each time that it is opened.

    `ended` is called when a reader comes to the end.
    """

    def __init__(
        self,
        source: Source,
        progress: Callable[[int], None] = lambda _: None,
        *,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._source, self._progress, self._ended = source, progress, ended
        self.size = source.size

    def open(self) -> BinaryIO:
        """Open it from its beginning."""
        return cast(BinaryIO, _Counted(self._source.open(), self._progress, self._ended))


class _Counted(io.BufferedIOBase):
    def __init__(self, stream: BinaryIO, progress: Callable[[int], None], ended: Callable[[], None]) -> None:
        self._stream, self._progress, self._ended = stream, progress, ended
        self._some = getattr(stream, "read1", stream.read)
        self._done = self._told = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, fewer at the end only."""
        return self._count(self._stream.read(-1 if size is None else size))

    def read1(self, size: int = -1, /) -> bytes:
        """Read what comes, at most `size` bytes."""
        return self._count(self._some(size))

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()
        super().close()

    def _count(self, data: bytes) -> bytes:
        self._done += len(data)
        if self._done - self._told >= STEP:
            self._told = self._done
            self._progress(self._done)
        if not data:
            self._ended()
        return data
