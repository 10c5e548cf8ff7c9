"""Results, on stdout; nothing else is written there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

_gathering: list[list[object]] = []


def write_lines(lines: Iterable[str]) -> None:
    """Write lines of text; what a registry put into them can't steer a terminal, nor make two lines of one."""
    sys.stdout.writelines(f"{safe(line)}\n" for line in lines)


def write_json(document: object) -> None:
    """Write one JSON document, in ASCII: that has no control characters, and every terminal can show it."""
    if _gathering:
        _gathering[-1].append(document)
    else:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")


@contextmanager
def gathered() -> Iterator[list[object]]:
    """Gather the JSON documents of the block instead of writing them: several runs make one."""
    _gathering.append([])
    try:
        yield _gathering[-1]
    finally:
        _gathering.pop()


def safe(text: str, keep: str = "") -> str:
    """Replace control characters, except those in `keep`, and whatever else can't be shown."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c in keep else " " for c in text)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns, two spaces apart."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def human_size(size: int) -> str:
    """Write a number of bytes for people, in powers of 1024."""
    number, units = float(size), iter(("B", "KiB", "MiB", "GiB"))
    unit = next(units)
    for following in units:
        if number < 1024:
            break
        number, unit = number / 1024, following
    return f"{size} B" if unit == "B" else f"{number:.1f} {unit}"
