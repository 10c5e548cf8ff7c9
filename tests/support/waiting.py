"""Waiting for what another process does: for a condition, and never longer than a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

_POLL = 0.01


def until(look: Callable[[], Found], what: str, limit: float = 30.0) -> Found:
    """Give what `look` finds, as soon as that is true; an AssertionError that says `what` after `limit` seconds."""
    end = time.monotonic() + limit
    while not (found := look()):
        assert time.monotonic() < end, f"within {limit:g} s it never came to this: {what}"
        time.sleep(_POLL)
    return found
