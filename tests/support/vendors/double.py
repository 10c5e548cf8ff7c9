"""What the doubles share: a server on 127.0.0.1 that keeps a log, limits rates, fails on request, and lags."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from tests.support.servers import Handler, listening

MAX_PAGE = 100


@dataclass(frozen=True, slots=True)
class Call:
    """A request, as it came; `path` isn't decoded, `query` is."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Read the body; an Answer 400 is raised for what isn't a JSON object with its type."""
        if self.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise Answer(415, {"message": "this isn't application/json"})
        try:
            document = json.loads(self.body)
        except ValueError:
            raise Answer(400, {"message": "this isn't JSON"}) from None
        if not isinstance(document, dict):
            raise Answer(400, {"message": "this isn't an object"})
        return document


class Answer(Exception):
    """An answer; raised where it ends the work on a request."""

    def __init__(self, status: int, document: object = None, **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.body = b"" if document is None else json.dumps(document).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class Double(ABC):
    """A double: `calls` is its log, `scripted` are answers that come instead of its own, the first first.

    `faults` give an answer in the place of its own to the request with that number, from 0 on. `lag` is how many reads
    of a description after a write still show what was before.
    """

    host: str = ""
    calls: list[Call] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    scripted: list[Answer] = field(default_factory=list)
    faults: dict[int, Callable[[Call], Answer]] = field(default_factory=dict)
    lag: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._old: dict[str, Any] = {}
        self._stale = 0

    @property
    def url(self) -> str:
        """What `--api` takes."""
        return f"http://{self.host}"

    @abstractmethod
    def handle(self, call: Call) -> Answer:
        """Answer a request; an Answer may be raised, too."""

    def serve(self, call: Call) -> Answer:
        """Log a request and answer it."""
        with self._lock:
            self.calls.append(call)
            try:
                if fault := self.faults.get(len(self.calls) - 1):
                    answer = fault(call)
                else:
                    answer = self.scripted.pop(0) if self.scripted else self.handle(call)
            except Answer as raised:
                answer = raised
            self.statuses.append(answer.status)
            return answer

    def sent(self) -> list[str]:
        """Give the log, a line a request."""
        return [f"{c.method} {c.path} {s}" for c, s in zip(self.calls, self.statuses, strict=True)]

    def remember(self, document: dict[str, Any]) -> None:
        """Keep what was shown before a write, for as many reads as there is lag."""
        self._old, self._stale = dict(document), self.lag

    def shown(self, document: dict[str, Any]) -> dict[str, Any]:
        """Give what a read shows."""
        if self._stale:
            self._stale -= 1
            return self._old
        return document


def page_of(call: Call, items: list[Any], size: str, *, too_large: int) -> tuple[list[Any], int, bool]:
    """Give a page's items, its number, and whether more follow; refuse a page that is too large with that status."""
    number, count = int(call.query.get("page", "1")), int(call.query.get(size, "10"))
    if count > MAX_PAGE or count < 1 or number < 1:
        raise Answer(too_large, {"message": f"{size} must be between 1 and {MAX_PAGE}"})
    first = (number - 1) * count
    return items[first : first + count], number, first + count < len(items)


D = TypeVar("D", bound=Double)


@contextmanager
def serving(double: D) -> Iterator[D]:
    """Serve a double on a free port of 127.0.0.1."""

    class Calls(Handler):
        def take(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = double.serve(Call(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body))
            self.answer(answer.status, answer.body, answer.headers)

        do_GET = take  # noqa: N815 - http.server's names
        do_POST = take  # noqa: N815
        do_PUT = take  # noqa: N815
        do_PATCH = take  # noqa: N815
        do_DELETE = take  # noqa: N815

    with listening(Calls) as double.host:
        yield double
