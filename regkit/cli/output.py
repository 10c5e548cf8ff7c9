"""Results, on stdout; nothing else is written there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence


def write_lines(lines: Iterable[str]) -> None:
    """Write lines of text."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def write_json(document: object) -> None:
    """Write one JSON document."""
    write_lines([json.dumps(document, indent=2, ensure_ascii=False)])


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
