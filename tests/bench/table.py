"""The table: a row is a function with `@row` above it, and `__main__` imports its module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.bench.lab import Lab
from tests.bench.measure import Comparison


@dataclass(frozen=True)
class Line:
    """A line of the table; `bound` says what the time, or the memory, is made of."""

    work: str
    regkit: str
    peer: str
    ratio: str
    bar: str
    bound: str = ""


Row = Callable[[Lab], Iterator[Line]]
ROWS: dict[str, Row] = {}


def row(name: str) -> Callable[[Row], Row]:
    """Enter a row, under the name that picks it."""

    def enter(function: Row) -> Row:
        ROWS[name] = function
        return function

    return enter


def line(work: str, found: Comparison, bar: str, bound: str = "") -> Line:
    """Write down a comparison."""
    ours, theirs = found.seconds
    return Line(work, f"{ours:.3f} s", f"{found.fastest} {theirs:.3f} s", f"{found.ratio:.2f}", bar, bound)
