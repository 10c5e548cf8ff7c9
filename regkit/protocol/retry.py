"""When to send again, and after how long: a pure policy."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from regkit.errors import RegkitError, Unavailable
from regkit.protocol.flow import Request, Response

TRIES = 4
MAX_DELAY = 60.0
"""The longest wait for one try that is obeyed, in seconds; a registry that asks for more gets no further request."""

_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
_UNTOUCHED = frozenset({425, 429, 503})


Outcome = Response | RegkitError
"""What became of a request."""


def wants_retry(request: Request, outcome: Outcome) -> bool:
    """Tell whether sending `request` again may mend `outcome`; what can't be replayed only where nothing was done."""
    if isinstance(outcome, Response):
        return outcome.status in (_RETRYABLE if request.replayable else _UNTOUCHED)
    return isinstance(outcome, Unavailable) and outcome.transient and request.replayable


def retry_after(value: str | None, now: float) -> float | None:
    """Read `Retry-After` in seconds from `now` (Unix time); None where it says nothing that can be meant.

    Registries write seconds and HTTP dates (RFC 9110, 10.2.3), and Docker Hub the Unix time itself.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text)
        return max(0.0, seconds - now) if seconds > 1_000_000_000 else seconds
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.fromtimestamp(now, UTC)).total_seconds())


def delay(attempt: int, asked: float | None, jitter: float) -> float | None:
    """Give the wait before try number `attempt` + 1, in seconds; None where it would be too long.

    Without the registry's wish: half a second, doubled at each try, plus up to a quarter by `jitter` (0 to 1).
    """
    if asked is None:
        return min(MAX_DELAY, 0.5 * 2.0 ** (attempt - 1) * (1 + jitter / 4))
    return asked if asked <= MAX_DELAY else None
