"""BuildKit's progress (`--progress rawjson`), read line by line: what happened, and what to say if it fails.

The rules of this file: a line that isn't JSON is kept as log; a step is reported as started once and as done once;
a step whose name has no platform has its inputs' platform, if they agree, unless another step of the same place
has the same inputs (`FROM scratch` and a COPY that all platforms share); what a step printed can't reach the
terminal as anything but text.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from regkit.errors import UsageError
from regkit.events import Event, Note, StepDone, StepLog, StepProgress, StepStarted
from regkit.oci.platform import Platform

KEPT_LINES = 200
"""How many of a step's last lines are kept for an error."""

_LINE_LIMIT = 16 * 1024
_PLATFORM = re.compile(
    r"\[(?P<platform>[a-z][^\s\]/]*/[^\s\]]+?)(?:->[^\s\]]+)? +(?P<rest>(?:[^\]]*\d+/\d+|internal)\] .*)", re.DOTALL
)
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]"  # ECMA-48, 5.4, 5.6
)
_CANCELED = "context canceled"
_BUILDCTL = "buildctl"


@dataclass(slots=True)
class Step:
    """A vertex of the build's graph, as far as it is known."""

    name: str
    platform: str = ""
    """The one in its name."""
    inputs: tuple[str, ...] = ()
    started: bool = False
    done: bool = False
    held: StepDone | None = None
    error: str = ""
    partial: dict[int, bytes] = field(default_factory=dict)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))

    @property
    def is_internal(self) -> bool:
        """Whether this is BuildKit's own, for all platforms."""
        return not self.name.startswith("[") or self.name.startswith("[internal]")

    @property
    def place(self) -> tuple[str, tuple[str, ...]]:
        """Its stage and number, and what it works on: the same for one instruction's steps on several platforms."""
        return self.name.partition("]")[0], self.inputs


class Progress:
    """The state of one build, fed with buildctl's lines; `feed` and `finish` give what is to be reported."""

    def __init__(self, platforms: Sequence[Platform]) -> None:
        self._spelling = {str(p.normalized): str(p) for p in platforms}
        self._steps: dict[str, Step] = {}
        self._places: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self.plain: deque[str] = deque(maxlen=KEPT_LINES)

    @property
    def begun(self) -> bool:
        """Whether the builder said anything yet."""
        return bool(self._steps)

    @property
    def failed(self) -> Step | None:
        """The step that failed first, with its platform; those that were stopped because of it don't count."""
        failed = [replace(step, platform=self.platform_of(key)) for key, step in self._steps.items() if step.error]
        return next((step for step in failed if _CANCELED not in step.error), failed[0] if failed else None)

    def feed(self, line: bytes) -> Iterator[Event]:
        """Take one line."""
        status = _status(line)
        if status is None:
            text = clean(line)
            if text:
                self.plain.append(text)
                if not text.startswith("error: "):
                    yield StepLog("", _BUILDCTL, text)
            return
        vertexes = _objects(status, "vertexes")
        for vertex in vertexes:
            self._learn(vertex)
        for vertex in vertexes:
            yield from self._advance(vertex)
        for item in _objects(status, "statuses"):
            yield from self._move(item)
        for log in _objects(status, "logs"):
            yield from self._log(log)
        for warning in _objects(status, "warnings"):
            text = clean(_decode(warning.get("short")))
            if text:
                yield Note(text, warning=True)

    def finish(self) -> Iterator[Event]:
        """Give what was held back until no more lines come."""
        for digest, step in self._steps.items():
            yield from _flush(step, self.platform_of(digest))
            if step.held is not None and not step.done:
                step.done = True
                yield step.held

    def platform_of(self, digest: str) -> str:
        """Tell a step's platform, as it was asked for; "" where it works for all or for different ones."""
        return self._platform(digest, frozenset())

    def _platform(self, digest: str, above: frozenset[str]) -> str:
        step = self._steps.get(digest)
        if step is None or digest in above:
            return ""
        if step.platform or step.is_internal or self._places[step.place] > 1:
            return step.platform
        found = {self._platform(source, above | {digest}) for source in step.inputs} - {""}
        return found.pop() if len(found) == 1 else ""

    def _learn(self, vertex: dict[str, Any]) -> None:
        digest, name = _text(vertex, "digest"), clean(_text(vertex, "name").encode())
        if digest in self._steps or not digest:
            return
        match = _PLATFORM.fullmatch(name)
        step = Step(name)
        if match:
            step.platform, step.name = self._spell(match["platform"]), f"[{match['rest']}"
        inputs = vertex.get("inputs")
        step.inputs = tuple(i for i in inputs if isinstance(i, str)) if isinstance(inputs, list) else ()
        self._steps[digest] = step
        self._places[step.place] += 1

    def _spell(self, text: str) -> str:
        try:
            return self._spelling.get(str(Platform.parse(text).normalized), text)
        except UsageError:
            return text

    def _advance(self, vertex: dict[str, Any]) -> Iterator[Event]:
        digest = _text(vertex, "digest")
        step = self._steps.get(digest)
        if step is None or not vertex.get("started") or step.done:
            return
        platform = self.platform_of(digest)
        completed, error = vertex.get("completed"), clean(_text(vertex, "error").encode())
        first = not step.started
        if first:
            step.started = True
            yield StepStarted(platform, step.name)
        if not completed:
            return
        cached = vertex.get("cached") is True
        event = StepDone(platform, step.name, cached, _seconds(vertex["started"], completed), error)
        if first and not cached and not error:
            step.held = event  # BuildKit asks a source for its cache key so; it runs afterwards, or it doesn't
            return
        yield from _flush(step, platform)
        step.done, step.error = True, error
        yield event

    def _move(self, item: dict[str, Any]) -> Iterator[Event]:
        """Tell of bytes, where it is known how many there are."""
        digest = _text(item, "vertex")
        step = self._steps.get(digest)
        current, total = item.get("current"), item.get("total")
        if step is None or step.done or not isinstance(current, int) or not isinstance(total, int):
            return
        if 0 <= current <= total and total:
            name = clean(_text(item, "id").encode())
            yield StepProgress(self.platform_of(digest), step.name, name, current, total)

    def _log(self, log: dict[str, Any]) -> Iterator[Event]:
        digest = _text(log, "vertex")
        step = self._steps.get(digest)
        stream = log.get("stream")
        if step is None or not isinstance(stream, int):
            return
        *lines, rest = (step.partial.get(stream, b"") + _decode(log.get("data"))).split(b"\n")
        if len(rest) > _LINE_LIMIT:
            lines, rest = [*lines, rest], b""
        step.partial[stream] = rest
        for line in lines:
            yield _say(step, self.platform_of(digest), line)


def clean(data: bytes) -> str:
    """Make what a program printed safe to show on one line: no escape sequences, no control characters.

    Of text that overwrites itself with carriage returns the last state remains.
    """
    states = _ESCAPE.sub("", data[:_LINE_LIMIT].decode("utf-8", "replace")).split("\r")
    text = next((state for state in reversed(states) if state.strip()), "")
    return "".join(c for c in text if c.isprintable() or c == "\t").expandtabs().rstrip()


def _say(step: Step, platform: str, line: bytes) -> StepLog:
    text = clean(line)
    step.lines.append(text)
    return StepLog(platform, step.name, text)


def _flush(step: Step, platform: str) -> Iterator[Event]:
    for line in step.partial.values():
        if line:
            yield _say(step, platform, line)
    step.partial.clear()


def _status(line: bytes) -> dict[str, Any] | None:
    try:
        status = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return status if isinstance(status, dict) else None


def _objects(status: dict[str, Any], key: str) -> list[dict[str, Any]]:
    values = status.get(key)
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _decode(data: object) -> bytes:
    try:
        return base64.b64decode(data) if isinstance(data, str) else b""
    except (binascii.Error, ValueError):
        return b""


def _seconds(started: object, completed: object) -> float:
    try:
        duration = datetime.fromisoformat(_micro(str(completed))) - datetime.fromisoformat(_micro(str(started)))
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, duration.total_seconds())


def _micro(time: str) -> str:
    """Cut Go's nanoseconds to what datetime reads."""
    return re.sub(r"(\.\d{6})\d+", r"\1", time)
