"""A download that goes on where it broke off."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from regkit.errors import Unavailable

BREAKS = 4
"""How often in a row it may break off before the failure stands; `PROGRESS` bytes in between begin the count anew."""

PROGRESS = 1024 * 1024


class Resumed:
    """A stream of `size` bytes over `opener`, which gives what comes after an offset, again after each break.

    An end before the last byte is a break as well: a connection that is closed says nothing else.
    """

    def __init__(self, opener: Callable[[int], BinaryIO], size: int) -> None:
        self._opener, self._size = opener, size
        self._at = self._mark = self._breaks = 0
        self._stream = opener(0)

    def read(self, size: int) -> bytes:
        """Read what comes, from a new connection where the old one broke; raise Unavailable where that is no use."""
        while True:
            try:
                data = self._stream.read(size)
                if not data and self._at < self._size:
                    raise Unavailable(f"the content ended after {self._at} of {self._size} bytes")
            except Unavailable as error:
                self._reopen(error)
            else:
                self._at += len(data)
                return data

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()

    def _reopen(self, error: Unavailable) -> None:
        if self._at - self._mark >= PROGRESS:
            self._breaks = 0
        self._mark = self._at
        self._breaks += 1
        if self._breaks > BREAKS:
            raise error
        self._stream.close()
        self._stream = self._opener(self._at)
