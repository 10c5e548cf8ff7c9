"""Gzip, read from anywhere: the decompressor's state is kept at some places, and it goes on from the nearest."""

from __future__ import annotations

import zlib
from typing import Any, BinaryIO, NamedTuple, Self

MAGIC = b"\x1f\x8b"
_PIECE = 1 << 16
_MAX_POINTS = 256
"""A state is about 40 KB: these are some 10 MB."""


class _Point(NamedTuple):
    """After how many bytes out, how many bytes in, the decompressor was in which state."""

    out: int
    into: int
    engine: Any


class Gunzip:
    """What is in a gzip file, with `seek` and `tell`, read in bounded pieces; `mark()` makes a place quick to reach."""

    def __init__(self, file: BinaryIO, points: list[_Point] | None = None) -> None:
        self._file = file
        self._points = points or [_Point(0, 0, zlib.decompressobj(31))]
        self._spacing = 1 << 20
        self._out = self._into = 0
        self._engine: Any = None
        self._pending = b""
        self._go_on(self._points[0])

    def on(self, file: BinaryIO) -> Self:
        """Read the same content through a file of one's own, from the beginning, with what is marked."""
        return type(self)(file, self._points)

    def mark(self) -> None:
        """Keep the state here, unless there is one close before; when they become many, every other is forgotten."""
        if self._out < self._points[-1].out + self._spacing:
            return
        self._points.append(_Point(self._out, self._into - len(self._pending), self._engine.copy()))
        if len(self._points) > _MAX_POINTS:
            del self._points[1::2]
            self._spacing *= 2

    def tell(self) -> int:
        """Give the number of bytes before the place where it reads."""
        return self._out

    def seek(self, offset: int) -> int:
        """Go to `offset`, or to the end where it lies behind that."""
        point = max((point for point in self._points if point.out <= offset), key=lambda point: point.out)
        if not point.out <= self._out <= offset:
            self._go_on(point)
        while self._out < offset and self._next(min(_PIECE, offset - self._out)):
            pass
        return self._out

    def read(self, size: int) -> bytes:
        """Read `size` bytes, fewer only at the end; raise EOFError where it is cut off."""
        data = bytearray()
        while len(data) < size and (piece := self._next(size - len(data))):
            data += piece
        return bytes(data)

    def _next(self, size: int) -> bytes:
        """Give up to `size` bytes; none at the end."""
        while True:
            if self._engine.eof:
                if not self._begin_next():
                    return b""
            elif not self._pending:
                # Also when this is the end: what is inside the decompressor may still come out.
                self._pending = self._fill()
            before = self._pending
            data: bytes = self._engine.decompress(before, size)
            self._pending = self._engine.unused_data if self._engine.eof else self._engine.unconsumed_tail
            self._out += len(data)
            if data:
                return data
            if not before and not self._engine.eof:
                raise EOFError("the gzip data is cut off")

    def _begin_next(self) -> bool:
        """Begin the next of several streams in one file; False where only padding follows."""
        rest = self._pending
        while not rest.strip(b"\0"):
            rest = self._fill()
            if not rest:
                self._pending = b""
                return False
        self._pending = rest.lstrip(b"\0")
        self._engine = zlib.decompressobj(31)
        return True

    def _fill(self) -> bytes:
        data = self._file.read(_PIECE)
        self._into += len(data)
        return data

    def _go_on(self, point: _Point) -> None:
        self._file.seek(point.into)
        self._out, self._into, self._engine, self._pending = point.out, point.into, point.engine.copy(), b""
