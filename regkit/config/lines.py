"""On which line of a TOML file a key stands: tomllib doesn't tell, and its own parser is asked all the same."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

_EFFORT = 2 * 1024 * 1024
"""How many characters are parsed to find a line: seconds, which only a file that was made for it takes."""


class _TooMuch(Exception):
    pass


def line_of(text: str, path: Sequence[str]) -> int:
    """Give the line, from 1, on which the statement begins that first names `path`; 1 where nothing does.

    `text` is valid TOML. What is read here are its beginnings: one that ends within a statement isn't valid, so the
    shortest that holds the key ends with the key's statement, however keys and values are spelled. A file whose
    statements take thousands of lines isn't searched to the end: then it is 1, too.
    """
    try:
        return _search(_Beginnings([f"{line}\n" for line in text.split("\n")]), path)
    except _TooMuch:
        return 1


def _search(text: _Beginnings, path: Sequence[str]) -> int:
    count = len(text.lines)
    low, high = 0, count
    while low < high:  # beginnings of fewer than `low` lines don't hold the key, that of `high` lines does
        middle = (low + high) // 2
        end, document = text.complete(middle)
        if _holds(document, path):
            high = middle
        else:
            low = end + 1
    return low if 0 < low <= count and _holds(text.complete(low)[1], path) else 1


class _Beginnings:
    """What a text begins with, read by whole statements, for as long as that is worth the effort."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines, self._left = lines, _EFFORT

    def complete(self, count: int) -> tuple[int, dict[str, Any]]:
        """Read the first `count` lines, and as many more as the last statement takes."""
        while True:
            beginning = "".join(self.lines[:count])
            self._left -= len(beginning)
            if self._left < 0:
                raise _TooMuch
            try:
                return count, tomllib.loads(beginning)
            except tomllib.TOMLDecodeError:
                if count >= len(self.lines):
                    raise
                count += 1


def _holds(document: Any, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(document, Mapping) or key not in document:
            return False
        document = document[key]
    return True
