"""Answers: dialects of limits, errors as sentences, dates."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from regkit.errors import AccessDenied, NotFound, ProtocolError, Refused, RegkitError, Unavailable, UnexpectedStatus
from regkit.protocol.flow import Response
from regkit.vendors.answer import date_of, document_of, expect, explanation, next_of, one_dialect, peek


def answer(status: int, document: object = None, **headers: str) -> Response:
    """Make an answer; underscores in names of headers are dashes."""
    body = io.BytesIO(b"" if document is None else json.dumps(document).encode())
    return Response(status, {k.replace("_", "-"): v for k, v in headers.items()}, body, "https://api.test/x")


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (429, {"retry_after": "7"}, (429, "7")),
        (429, {"x_retry_after": "1790000007"}, (429, "1790000007")),
        (429, {"x_retry_after": "1790000007", "retry_after": "3"}, (429, "1790000007")),
        (403, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1790000007"}, (429, "1790000007")),
        (403, {"retry_after": "60"}, (429, "60")),
        (403, {"x_ratelimit_remaining": "12", "x_ratelimit_reset": "1790000007"}, (403, None)),
        (403, {"x_ratelimit_remaining": "0"}, (403, None)),
        (200, {"ratelimit_remaining": "0", "ratelimit_reset": "1790000007"}, (200, "1790000007")),
        (200, {"ratelimit_remaining": "1", "ratelimit_reset": "1790000007"}, (200, None)),
        (200, {}, (200, None)),
    ],
)
def test_one_dialect(status: int, headers: dict[str, str], expected: tuple[int, str | None]) -> None:
    """Whatever a vendor's words are, `retry-after` says it, and 429 means it."""
    found = one_dialect(answer(status, **headers))
    assert (found.status, found.headers.get("retry-after")) == expected


@pytest.mark.parametrize("status", [403, 429])
def test_a_limit_that_only_its_sentence_tells(status: int) -> None:
    """GitHub's secondary limit without a header is a minute; another refusal is none."""
    limited = one_dialect(answer(status, {"message": "You have exceeded a secondary rate limit."}))
    assert (limited.status, limited.headers.get("retry-after")) == (429, "60")
    assert "secondary" in explanation(limited)

    other = one_dialect(answer(status, {"message": "You may not."}))
    assert (other.status, other.headers.get("retry-after")) == (status, None)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"message": "no", "documentation_url": "x"}, "no"),
        ({"detail": "no"}, "no"),
        ({"error": "short", "error_description": "long"}, "long"),
        ({"errors": [{"code": "A", "message": "b"}, {"message": "c"}, "d"]}, "A: b; c"),
        ({"message": {"name": ["x"]}}, ""),
        ({"message": "a\x1b[31m\nb"}, "a [31m b"),
        (["no"], ""),
        ("no", ""),
        (None, ""),
    ],
)
def test_what_an_error_says(document: object, text: str) -> None:
    """A line, without what could steer a terminal; nothing of what isn't understood."""
    assert explanation(answer(400, document)) == text


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AccessDenied),
        (403, AccessDenied),
        (404, NotFound),
        (410, NotFound),
        (408, Unavailable),
        (429, Unavailable),
        (500, Unavailable),
        (400, UnexpectedStatus),
        (302, UnexpectedStatus),
        (999, Unavailable),
    ],
)
def test_what_a_status_means(status: int, kind: type[RegkitError]) -> None:
    """One sentence: what couldn't be done, who said so, and why; the scope for who may not."""
    with pytest.raises(kind, match=rf"^can't do it: api\.test answered {status}.* \(because\)$") as caught:
        expect(answer(status, {"message": "because"}), 200, what="do it", scope="more")
    assert (caught.value.hint == "more") == (kind is AccessDenied)
    assert ("--provider" in str(caught.value.hint)) == (kind is NotFound)


@pytest.mark.parametrize("status", [400, 403, 409, 412, 422])
def test_an_immutable_tag_is_refused(status: int) -> None:
    with pytest.raises(Refused, match="immutable"):
        expect(answer(status, {"detail": "the tag is immutable"}), 200, what="do it")


def test_what_was_expected_is_given_back() -> None:
    response = answer(204)
    assert expect(response, 200, 204, what="do it") is response


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("1790000007", "try again after 2026-09-21 14:13:27 UTC"),
        ("120", "try again later; it said Retry-After: 120"),
        ("", "try again later"),
        ("99999999999999999", "try again later"),
    ],
)
def test_when_to_try_again(asked: str, hint: str) -> None:
    """A Unix time is a date for people."""
    with pytest.raises(Unavailable) as caught:
        expect(answer(429, retry_after=asked), 200, what="do it")
    assert caught.value.hint == hint


def test_a_body_is_looked_at_and_still_there() -> None:
    response = answer(200, {"a": 1})
    assert peek(response) == document_of(response) == {"a": 1}


def test_a_document_that_is_none() -> None:
    with pytest.raises(ProtocolError, match="isn't a JSON object"):
        document_of(answer(200, [1]))


@pytest.mark.parametrize("url", ["https://evil.test/x", "http://api.test/x", "//evil.test/x", "https://api.test:8443/"])
def test_a_next_page_elsewhere(url: str) -> None:
    """Another scheme or port is another origin."""
    with pytest.raises(ProtocolError, match="another origin"):
        next_of(answer(200), url, set())


@pytest.mark.parametrize("url", [None, "", 7])
def test_no_next_page(url: object) -> None:
    assert next_of(answer(200), url, set()) is None


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02T04:04:05+01:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        (None, None),
        (True, None),
        (10**30, None),
    ],
)
def test_dates(value: Any, date: datetime | None) -> None:
    """All have a time zone; what isn't a date is none, so that nothing is taken for old."""
    assert date_of(value) == date
