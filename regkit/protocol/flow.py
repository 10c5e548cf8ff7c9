"""Flows: one protocol exchange each, without I/O.

A flow is a flat generator: it yields a `Request`, receives a `Response` and returns a value. A send that failed
is thrown into it. Whoever drives it decides what a request becomes: HTTP, or a call of the embedded registry.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, BinaryIO, NamedTuple, Protocol, TypeAlias, TypeVar
from urllib.parse import urljoin, urlsplit

from regkit.errors import AccessDenied, NotFound, ProtocolError, Refused, RegkitError, Unavailable, UnexpectedStatus

ERROR_LIMIT = 64 * 1024
"""How much of an error's body is read, in bytes."""


class Source(Protocol):
    """Content that can be read, and read again: `size` bytes, a new stream at each `open()`."""

    @property
    def size(self) -> int:
        """The number of bytes."""
        ...

    def open(self) -> BinaryIO:
        """Start reading from the beginning; the caller closes it."""
        ...


class Bytes(NamedTuple):
    """A Source over bytes at hand."""

    data: bytes

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.data)

    def open(self) -> BinaryIO:
        """Start reading from the beginning."""
        return io.BytesIO(self.data)


_NOTHING = Bytes(b"")
_PHRASES = frozenset(HTTPStatus)


class Scope(NamedTuple):
    """What a request needs to be allowed: a repository and actions (distribution, token scope)."""

    repository: str
    actions: str
    """Comma-separated, sorted: `pull`, or `pull,push`."""
    origin: str = ""
    """A repository that is pulled from as well, as a mount does."""

    def __str__(self) -> str:
        """Give the token server's spelling, without the origin."""
        return f"repository:{self.repository}:{self.actions}"

    @property
    def entries(self) -> tuple[str, ...]:
        """All that a token server is asked for, one `scope` each."""
        return (str(self), *([str(Scope(self.origin, "pull"))] if self.origin else []))

    def covers(self, other: Scope) -> bool:
        """Whether a token for this allows `other` too."""
        same = self.repository == other.repository and other.origin in ("", self.origin)
        return same and set(other.actions.split(",")) <= set(self.actions.split(","))


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be asked. `url` is a path on the registry (`/v2/…`), or absolute where the registry said so."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Source = _NOTHING
    scope: Scope | None = None
    replayable: bool = True
    """Whether sending it twice does no harm; else a failed send is the flow's business."""
    stream: bool = False
    """Whether the answer's body is read as it comes, and closed by who reads it; else it is bounded and at hand."""


def read_bounded(stream: BinaryIO, limit: int) -> bytes | None:
    """Read a stream to its end; None where that is more than `limit` bytes, of which no more are read then."""
    data = bytearray()
    while len(data) <= limit and (piece := stream.read(min(limit + 1 - len(data), 1 << 16))):
        data += piece
    return bytes(data) if len(data) <= limit else None


@dataclass(frozen=True, slots=True)
class Response:
    """What was answered. `headers` have lower-case keys; `body` is a stream that is read at most once."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: BinaryIO = field(default_factory=io.BytesIO)
    url: str = ""
    """Where the answer came from, as an absolute URL: what a relative `Location` is joined to."""

    def read(self, limit: int) -> bytes:
        """Read the whole body; raise ProtocolError where it is larger than `limit` bytes."""
        data = read_bounded(self.body, limit)
        if data is None:
            raise ProtocolError(f"the answer from {self.url or 'the registry'} is larger than {limit} bytes")
        return data

    def absolute(self, reference: str) -> str:
        """Give the absolute URL of a `Location` or a `Link`; raise ProtocolError where it is no address."""
        try:
            joined: str = urljoin(self.url, reference)
        except ValueError:
            name = urlsplit(self.url).netloc or "the registry"
            raise ProtocolError(f"{name} leads to what is no address: {printable(reference, 200)!r}") from None
        return joined

    def json(self, limit: int) -> Any:
        """Read the body as JSON; raise ProtocolError where it isn't."""
        try:
            return json.loads(self.read(limit))
        except (ValueError, RecursionError):
            raise ProtocolError(f"the answer from {self.url or 'the registry'} isn't valid JSON") from None


T = TypeVar("T")
Flow: TypeAlias = Generator[Request, Response, T]
Send = Callable[[Request], Response]


def drive(flow: Flow[T], send: Send) -> T:
    """Run a flow to its end; what `send` raises is thrown into it."""
    try:
        request = next(flow)
        while True:
            try:
                response = send(request)
            except RegkitError as error:
                request = flow.throw(error)
            else:
                request = flow.send(response)
    except StopIteration as stop:
        value: T = stop.value
        return value


def expect(response: Response, *statuses: int, what: str) -> Response:
    """Give the response back if its status is one of `statuses`; else raise what it means.

    `what` completes the sentence "can't …". The registry's own codes and messages are in it
    (distribution-spec, Error Codes); a body that isn't the specification's JSON is left out. The body is closed then.
    """
    if response.status in statuses:
        return response
    with response.body:
        codes, said = read_errors(response)
    status = (
        f"{response.status} {HTTPStatus(response.status).phrase}"
        if response.status in _PHRASES
        else str(response.status)
    )
    message = f"can't {what}: {urlsplit(response.url).netloc or 'the registry'} answered {status}{said}"
    if 400 <= response.status < 500 and "immutable" in said.lower():
        # Amazon's registry answers 400, Docker Hub 403, Harbor 412; the word is all that they have in common.
        raise Refused(message, hint="choose another tag: what stands at this one can't be replaced")
    if response.status == 405:
        raise Refused(message, hint="the registry doesn't do this: it may be read-only, or configured so")
    if response.status in (401, 403):
        raise AccessDenied(message)
    if response.status in (404, 410):
        raise NotFound(message)
    if response.status in (408, 429) or response.status >= 500:
        asked = printable(response.headers.get("retry-after", ""), 100)
        raise Unavailable(message, hint=f"try again later{asked and f'; it said Retry-After: {asked}'}")
    raise UnexpectedStatus(message, status=response.status, codes=codes)


def read_errors(response: Response) -> tuple[tuple[str, ...], str]:
    """Read the specification's `errors` list: the codes, and a text ` (CODE: message; …)` or nothing."""
    try:
        errors = json.loads(response.body.read(ERROR_LIMIT))["errors"]
        pairs = [(str(e.get("code") or ""), str(e.get("message") or "")) for e in errors]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, RegkitError):
        return (), ""
    text = "; ".join(": ".join(filter(None, pair)) for pair in pairs)
    return tuple(code for code, _ in pairs), f" ({printable(text)})" if text else ""


def printable(text: str, limit: int = 500) -> str:
    """Make a registry's text safe to show: no control characters, bounded."""
    return "".join(c if c.isprintable() else " " for c in text[:limit])
