"""Errors for people, on stderr."""

from __future__ import annotations

import sys

from regkit.cli.output import painted, safe, width_of
from regkit.errors import BuildFailed, RegkitError

_START = "regkit: error:"


def show_error(error: RegkitError) -> None:
    """Write an error: the failing step's lines, one sentence, a hint."""
    if isinstance(error, BuildFailed):
        sys.stderr.writelines(f"  | {safe(line)}\n" for line in error.log)
    sentence = _wrapped(f"{_START} {safe(error.message)}")
    sys.stderr.write(f"{painted(_START, 'red', sys.stderr)}{sentence.removeprefix(_START)}\n")
    if error.hint:
        sys.stderr.write(f"{_wrapped(f'  hint: {safe(error.hint)}')}\n")


def _wrapped(text: str) -> str:
    """Give a text; for a terminal that is too narrow in lines that end between words, the later ones set in."""
    if not sys.stderr.isatty():
        return text
    from shutil import get_terminal_size
    from textwrap import fill

    width = get_terminal_size().columns
    if width_of(text) <= width:
        return text
    return fill(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
