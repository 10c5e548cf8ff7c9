"""Names that are given to a command: as arguments, or a line each on stdin."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator


def read_names(names: Iterable[str]) -> Iterator[str]:
    """Give the names, those on stdin where one is `-`; raise UsageError where nothing comes there."""
    for name in names:
        if name == "-":
            given = [line.strip() for line in sys.stdin if line.strip()]
            if not given:
                from regkit.errors import UsageError

                raise UsageError("nothing came on stdin, where '-' reads names from", hint="write one on each line")
            yield from given
        else:
            yield name
