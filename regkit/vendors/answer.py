"""What vendors' APIs answer: errors as sentences, rate limits in one dialect, dates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from regkit.errors import AccessDenied, NotFound, ProtocolError, Refused, Unavailable, UnexpectedStatus
from regkit.oci.manifest import MAX_SIZE
from regkit.protocol.flow import ERROR_LIMIT, Bytes, Request, Response, printable
from regkit.protocol.page import MAX_PAGES

_PHRASES = frozenset(HTTPStatus)
_RESETS = (("x-ratelimit-remaining", "x-ratelimit-reset"), ("ratelimit-remaining", "ratelimit-reset"))


def json_request(method: str, url: str, document: Mapping[str, Any]) -> Request:
    """Make a request with a JSON body."""
    return Request(method, url, {"Content-Type": "application/json"}, Bytes(json.dumps(document).encode()))


def one_dialect(response: Response) -> Response:
    """Give an answer whose `retry-after` says, however the vendor says it, when it can be asked again.

    Docker Hub writes `X-Retry-After` in Unix time; GitHub answers 403 with nothing remaining until a reset, or 403 with
    `Retry-After`, or with the name of its secondary limit alone, which is to wait a minute; GitLab writes
    `RateLimit-Reset`. Where nothing remains after a good answer, that is said as well.
    """
    headers = response.headers
    asked = headers.get("x-retry-after") or headers.get("retry-after")
    for remaining, reset in _RESETS:
        if not asked and headers.get(remaining) == "0":
            asked = headers.get(reset)
    if not asked and response.status in (403, 429) and "secondary rate limit" in explanation(response).lower():
        asked = "60"
    if not asked:
        return response
    status = 429 if response.status == 403 else response.status
    return replace(response, status=status, headers={**headers, "retry-after": asked})


_ABSENT = (
    'does the repository exist there? if that host is another vendor\'s, say whose: vendor in [registry."HOST"], '
    "or --provider of regkit readme"
)


def expect(response: Response, *statuses: int, what: str, scope: str = "") -> Response:
    """Give the answer back if its status is one of `statuses`; else raise what it means.

    `what` completes the sentence "can't …"; `scope` is the hint for those who may not: what their token lacks.
    An immutable tag is Refused, however the vendor says so.
    """
    if response.status in statuses:
        return response
    said = explanation(response)
    status = (
        f"{response.status} {HTTPStatus(response.status).phrase}"
        if response.status in _PHRASES
        else str(response.status)
    )
    message = f"can't {what}: {urlsplit(response.url).netloc} answered {status}{said and f' ({said})'}"
    if response.status in (400, 403, 409, 412, 422) and "immutab" in said.lower():
        raise Refused(message, hint="change the registry's rule for immutable tags first, if it's meant to go")
    if response.status in (401, 403):
        raise AccessDenied(message, hint=scope or None)
    if response.status in (404, 410):
        raise NotFound(message, hint=_ABSENT)
    if response.status in (408, 429) or response.status >= 500:
        raise Unavailable(message, hint=_when(response.headers.get("retry-after", "")))
    raise UnexpectedStatus(message, status=response.status)


def explanation(response: Response) -> str:
    """Give what an error's body says, in a line; nothing of one that says it in no known way."""
    document = peek(response)
    if not isinstance(document, dict):
        return ""
    errors = document.get("errors")
    if isinstance(errors, list):
        pairs = [(e.get("code"), e.get("message")) for e in errors if isinstance(e, dict)]
        texts = [": ".join(str(part) for part in pair if part) for pair in pairs]
    else:
        keys = ("message", "error_message", "detail", "error_description", "error", "title")
        texts = [text for key in keys if isinstance(text := document.get(key), str)][:1]
    return printable("; ".join(filter(None, texts)))


def peek(response: Response) -> object:
    """Read a bounded JSON body, and leave it to be read again; None for anything else."""
    try:
        return json.loads(response.body.read(ERROR_LIMIT))
    except (ValueError, RecursionError):
        return None
    finally:
        response.body.seek(0)


def document_of(response: Response) -> dict[str, Any]:
    """Read a JSON object; raise ProtocolError for anything else."""
    document = response.json(MAX_SIZE)
    if not isinstance(document, dict):
        raise ProtocolError(f"the answer from {urlsplit(response.url).netloc} isn't a JSON object")
    return document


def items_of(found: object, response: Response) -> list[dict[str, Any]]:
    """Give a list of JSON objects; raise ProtocolError for anything else."""
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ProtocolError(f"the answer from {urlsplit(response.url).netloc} holds no list where one belongs")
    return found


def next_of(response: Response, url: object, seen: set[str]) -> str | None:
    """Give the next page's absolute URL as a body names it; raise ProtocolError where it leads away, or comes again."""
    if not isinstance(url, str) or not url:
        return None
    absolute = response.absolute(url)
    here = urlsplit(response.url)
    if urlsplit(absolute)[:2] != here[:2]:
        raise ProtocolError(f"a page of {here.netloc} leads to another origin")
    if absolute in seen or len(seen) >= MAX_PAGES:
        raise ProtocolError(f"the pages of {here.netloc} never end")
    seen.add(absolute)
    return absolute


def date_of(value: object) -> datetime | None:
    """Read a date: ISO 8601, or Unix time; None for anything else."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        date = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return date.replace(tzinfo=UTC) if date is not None and date.tzinfo is None else date


def _when(asked: str) -> str:
    """Say when to try again; a Unix time as a date."""
    if asked.isascii() and asked.isdecimal() and int(asked) > 1_000_000_000:
        date = date_of(int(asked))
        return f"try again after {date:%Y-%m-%d %H:%M:%S} UTC" if date else "try again later"
    return f"try again later{asked and f'; it said Retry-After: {printable(asked, 100)}'}"
