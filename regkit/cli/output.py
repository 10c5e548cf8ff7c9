"""Results, on stdout; nothing else is written there."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from regkit.errors import RegkitError

_DIGEST = re.compile(r"\bsha(?:256|512):([0-9a-f]{12})[0-9a-f]{52,}")
_STYLES = {"bold": "1", "red": "31", "green": "32", "yellow": "33"}
_gathering: list[list[object]] = []
_color: list[str] = ["auto"]


def write_lines(lines: Iterable[str]) -> None:
    """Write lines of text; what a registry put into them can't steer a terminal, nor make two lines of one."""
    sys.stdout.writelines(f"{safe(line)}\n" for line in lines)


def write_json(document: object) -> None:
    """Write one JSON document, in ASCII: that has no control characters, and every terminal can show it."""
    if _gathering:
        _gathering[-1].append(document)
    else:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")


def write_documents(documents: Sequence[object], form: str) -> None:
    """Write JSON documents: as `jsonl` one a line, as `json` the only one as it is, several as an array."""
    if form == "jsonl":
        write_json_lines(documents)
    else:
        write_json(documents[0] if len(documents) == 1 else documents)


def write_list(key: str, items: Sequence[Mapping[str, object]], form: str) -> None:
    """Write a list: as `json` one document that has it under a key, as `jsonl` each item as a document of its own."""
    if form == "jsonl":
        write_json_lines({"schema": 1, **item} for item in items)
    else:
        write_json({"schema": 1, key: items})


def write_json_lines(documents: Iterable[object]) -> None:
    """Write JSON documents, one a line."""
    sys.stdout.writelines(f"{json.dumps(document)}\n" for document in documents)


@contextmanager
def gathered() -> Iterator[list[object]]:
    """Gather the JSON documents of the block instead of writing them: several runs make one."""
    _gathering.append([])
    try:
        yield _gathering[-1]
    finally:
        _gathering.pop()


@contextmanager
def telling(show: Callable[[Any], None]) -> Iterator[None]:
    """Show what the block had done, too, where it goes wrong: what stands is a result, whatever the exit code."""
    try:
        yield
    except (RegkitError, KeyboardInterrupt) as error:
        done = getattr(error, "done", None)
        if done is not None:
            show(done)
        raise


def safe(text: str, keep: str = "") -> str:
    """Replace control characters, except those in `keep`, and whatever else can't be shown."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c in keep else " " for c in text)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns, two spaces apart."""
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell + " " * (width - width_of(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def fitting(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns; on a terminal that is too narrow for them, with digests cut short."""
    lines = table(rows)
    if all(map(_fits, lines)):
        return lines
    return table([[_DIGEST.sub(r"\1", cell) for cell in row] for row in rows])


def shortened(line: str) -> str:
    """Give a line; on a terminal that is too narrow for it, with digests cut short."""
    return line if _fits(line) else _DIGEST.sub(r"\1", line)


def _fits(line: str) -> bool:
    """Tell whether a terminal shows a line without breaking it; elsewhere there is always room."""
    if not sys.stdout.isatty():
        return True
    from shutil import get_terminal_size

    return width_of(line) <= get_terminal_size().columns


def width_of(text: str) -> int:
    """Tell how many columns of a terminal a text takes (Unicode, UAX 11): Chinese two each, accents none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def choose_color(choice: str) -> None:
    """Take the user's choice, for all that is written from now on: `auto`, `always` or `never`."""
    _color[:] = [choice]


def wants_color(stream: TextIO) -> bool:
    """Tell whether to write colours: as chosen, else on a terminal that shows them, unless `NO_COLOR` is set."""
    if _color != ["auto"]:
        return _color == ["always"]
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, style: str, stream: TextIO) -> str:
    """Write text in a style (bold, red, green, yellow), where `stream` is to have colours."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if style and wants_color(stream) else text


def counted(number: int, what: str) -> str:
    """Write a number of things: `1 layer`, `2 layers`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def human_size(size: int) -> str:
    """Write a number of bytes for people, in powers of 1024."""
    number, units = float(size), iter(("B", "KiB", "MiB", "GiB"))
    unit = next(units)
    for following in units:
        if number < 1024:
            break
        number, unit = number / 1024, following
    return f"{size} B" if unit == "B" else f"{number:.1f} {unit}"
