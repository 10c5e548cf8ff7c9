"""A terminal: `regkit` runs in a real pseudo-terminal, and what a user would see there is read from an emulator."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyte

from tests.support.command import LIMIT, clean_environment

ROWS = 100
STILL = 1.0
"""Seconds without a change after which a screen is still: what moves there is drawn ten times in one."""
_SGR = {"red": 31, "green": 32, "brown": 33, "blue": 34, "magenta": 35, "cyan": 36, "white": 37, "brightblack": 90}


@dataclass(frozen=True)
class Shown:
    """What is on the screen when a command has ended: as text, and with its colours as a terminal takes them."""

    text: str
    ansi: str
    exit_code: int
    cursor_visible: bool


def shown(
    *args: str | Path,
    columns: int,
    home: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    question: str = "",
    answer: bytes = b"",
) -> Shown:
    """Run `regkit` on a terminal so many columns wide; `answer` is typed once a `question` stands there and stays."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    screen = _Screen(columns, ROWS)
    stream = pyte.ByteStream(screen)
    argv = [sys.executable, "-m", "regkit", *map(str, args)]
    with subprocess.Popen(
        argv,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=clean_environment(home, {"TERM": "xterm-256color", "LANG": "C.UTF-8", **(env or {})}),
        cwd=cwd or home,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            while data := _read(ours):
                stream.feed(data)
                if answer and not select.select([ours], [], [], STILL)[0]:
                    assert any(question in line for line in screen.display), screen.display
                    os.write(ours, answer)
                    answer = b""
            code = process.wait(LIMIT)
        finally:
            process.kill()
            os.close(ours)
    lines = [_line(screen, row) for row in range(ROWS)]
    text = "\n".join(line.rstrip() for line in screen.display).rstrip()
    return Shown(text, "\n".join(lines).rstrip(), code, not screen.cursor.hidden)


class _Screen(pyte.Screen):
    """pyte knows no faint text; here it is grey."""

    def select_graphic_rendition(self, *attrs: int, **kwargs: Any) -> None:
        super().select_graphic_rendition(*(90 if each == 2 else each for each in attrs), **kwargs)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # nobody has the other end open any more
        return b""


def _line(screen: pyte.Screen, row: int) -> str:
    """Write a line with as few escape sequences as it takes."""
    parts, now = [], ""
    for column in range(screen.columns):
        cell = screen.buffer[row][column]
        codes = [*(["1"] if cell.bold else []), *([str(_SGR[cell.fg])] if cell.fg != "default" else [])]
        style = ";".join(codes) if cell.data.strip() else now
        if style != now:
            parts.append(f"\x1b[0m\x1b[{style}m" if style and now else f"\x1b[{style}m" if style else "\x1b[0m")
            now = style
        parts.append(cell.data)
    line = "".join(parts)
    return re.sub(r"\s+$", "", line) + ("\x1b[0m" if now else "")
