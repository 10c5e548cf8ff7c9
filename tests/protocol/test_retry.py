from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import AccessDenied, Interrupted, ProtocolError, Unavailable
from regkit.protocol.flow import Bytes, Request
from regkit.protocol.retry import MAX_DELAY, delay, retry_after, wants_retry
from tests.protocol.support import reply

READ = Request("GET", "/")
UPLOAD = Request("PUT", "/", body=Bytes(b"x"), replayable=False)
NOW = 1_746_136_900.0


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(status: int) -> None:
    """What may be gone in a second is asked again."""
    assert wants_retry(READ, reply(status))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 301, 400, 401, 403, 404, 405, 409, 413, 416, 501, 505])
def test_lasting_answers_are_final(status: int) -> None:
    """What a second try can't change isn't asked again."""
    assert not wants_retry(READ, reply(status))


@pytest.mark.parametrize(("status", "again"), [(425, True), (429, True), (503, True), (500, False), (502, False)])
def test_an_upload_is_repeated_only_where_nothing_was_done(status: int, again: bool) -> None:
    """An upload's failure is its flow's business, unless the registry didn't begin to take it."""
    assert wants_retry(UPLOAD, reply(status)) == again


def test_broken_connections() -> None:
    """A connection that broke is tried again where that does no harm; a certificate that isn't trusted is not."""
    assert wants_retry(READ, Unavailable("broke"))
    assert not wants_retry(UPLOAD, Unavailable("broke"))
    assert not wants_retry(READ, Unavailable("not trusted", transient=False))


@pytest.mark.parametrize("error", [AccessDenied("no"), ProtocolError("no"), Interrupted("no")])
def test_other_errors_are_final(error: AccessDenied | ProtocolError | Interrupted) -> None:
    """Nothing else is tried again, least of all after Ctrl-C."""
    assert not wants_retry(READ, error)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("86400", 86400.0),
        ("1746136938", 38.0),  # Docker Hub: Unix time
        ("1746136000", 0.0),
        ("-1", None),
        ("1.5", None),
        ("abc", None),
        ("", None),
        ("\u0667", None),
        ("Thu, 01 May 2025 22:02:10 GMT", 30.0),
        ("Thu, 01 May 2025 22:02:10 -0000", 30.0),
        ("Thu, 01 May 2025 20:00:00 GMT", 0.0),
        ("Thu, 99 May 2025 20:00:00 GMT", None),
    ],
)
def test_what_retry_after_means(value: str | None, expected: float | None) -> None:
    """Seconds, HTTP dates and Docker Hub's Unix time are understood; what is past is now; nonsense is nothing."""
    assert retry_after(value, NOW) == expected


@given(st.text())
def test_any_retry_after_is_survived(value: str) -> None:
    """No header makes the client fail, or wait a negative time."""
    found = retry_after(value, NOW)

    assert found is None or found >= 0


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))
def test_any_http_date(date: datetime) -> None:
    """A date means the seconds from now until then."""
    text = format_datetime(date.replace(microsecond=0, tzinfo=UTC), usegmt=True)

    assert retry_after(text, NOW) == max(0.0, date.replace(microsecond=0, tzinfo=UTC).timestamp() - NOW)


def test_the_registrys_wish_is_obeyed_up_to_a_minute() -> None:
    """A wait of up to a minute is obeyed to the second; one that is longer ends it, so that nobody hangs for hours."""
    assert delay(1, 0.0, 0.5) == 0.0
    assert delay(3, 17.0, 0.5) == 17.0
    assert delay(1, MAX_DELAY, 0.5) == MAX_DELAY
    assert delay(1, MAX_DELAY + 1, 0.5) is None
    assert delay(1, retry_after("9" * 400, NOW), 0.5) is None


@given(st.integers(1, 500), st.floats(0, 1))
def test_the_wait_grows_and_is_bounded(attempt: int, jitter: float) -> None:
    """Without a wish, waits double from half a second and scatter by a quarter, never past a minute."""
    wait = delay(attempt, None, jitter)

    assert wait is not None
    assert min(MAX_DELAY, 0.5 * 2 ** (attempt - 1)) <= wait <= min(MAX_DELAY, 0.625 * 2 ** (attempt - 1))
