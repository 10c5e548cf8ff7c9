"""On which line of a TOML file a key stands: tomllib doesn't tell, and its own parser is asked all the same."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any


def line_of(text: str, path: Sequence[str]) -> int:
    """Give the line, from 1, on which the statement begins that first names `path`; 1 where nothing does.

    `text` is valid TOML. What is read here are its beginnings: one that ends within a statement isn't valid, so the
    shortest that holds the key ends with the key's statement, however keys and values are spelled.
    """
    lines = [f"{line}\n" for line in text.split("\n")]
    low, high = 0, len(lines)
    while low < high:  # beginnings of fewer than `low` lines don't hold the key, that of `high` lines does
        middle = (low + high) // 2
        end, document = _complete(lines, middle)
        if _holds(document, path):
            high = middle
        else:
            low = end + 1
    return low if 0 < low <= len(lines) and _holds(_complete(lines, low)[1], path) else 1


def _complete(lines: Sequence[str], count: int) -> tuple[int, dict[str, Any]]:
    """Read the first `count` lines, and as many more as the last statement takes."""
    while True:
        try:
            return count, tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            if count >= len(lines):
                raise
            count += 1


def _holds(document: Any, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(document, Mapping) or key not in document:
            return False
        document = document[key]
    return True
