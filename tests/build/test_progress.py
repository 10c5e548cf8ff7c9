"""The reading of `--progress rawjson`, on lines as BuildKit 0.34 writes them."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from regkit.build.progress import KEPT_LINES, Progress, clean
from regkit.events import Event, Note, StepDone, StepLog, StepProgress, StepStarted
from regkit.oci.platform import parse_platforms

START, END = "2026-11-24T06:57:57.245096756Z", "2026-11-24T06:57:58.745096756Z"


def feed(progress: Progress, *lines: dict[str, Any] | bytes) -> list[Event]:
    """Feed all lines and the end."""
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return [event for text in texts for event in progress.feed(text)] + list(progress.finish())


def vertex(digest: str, name: str, *inputs: str, **rest: Any) -> dict[str, Any]:
    return {"digest": digest, "name": name, "inputs": list(inputs), **rest}


def log(digest: str, data: bytes, stream: int = 1) -> dict[str, Any]:
    return {"logs": [{"vertex": digest, "stream": stream, "data": base64.b64encode(data).decode()}]}


def running(*platforms: str) -> Progress:
    """Give the state after one step, `a`, of linux/amd64 has begun."""
    progress = Progress(parse_platforms(platforms or ["linux/amd64"]))
    feed(progress, {"vertexes": [vertex("a", "[linux/amd64 2/3] RUN x", started=START)]})
    return progress


def test_step_is_reported_with_the_platform_that_was_asked_for() -> None:
    """BuildKit says linux/arm64 where linux/arm64/v8 was asked for; events say what was asked for."""
    name = "[linux/arm64 2/3] RUN x"
    events = feed(
        Progress(parse_platforms(["linux/arm64/v8"])),
        {"vertexes": [vertex("a", name, started=START)]},
        {"vertexes": [vertex("a", name, started=START, completed=END)]},
    )

    assert events == [
        StepStarted("linux/arm64/v8", "[2/3] RUN x"),
        StepDone("linux/arm64/v8", "[2/3] RUN x", cached=False, seconds=1.5),
    ]


def test_cross_compiling_stage_has_the_platform_that_it_runs_on() -> None:
    """In `[linux/amd64->arm/v7 build 1/2]` the step runs on amd64."""
    events = feed(
        Progress(parse_platforms(["linux/arm/v7"])),
        {"vertexes": [vertex("a", "[linux/amd64->arm/v7 build  1/12] RUN x", started=START)]},
    )

    assert events == [StepStarted("linux/amd64", "[build  1/12] RUN x")]


def test_step_without_platform_inherits_what_its_inputs_agree_on() -> None:
    """A RUN has no platform in its name; it comes from its inputs, through several of them, the context aside."""
    progress = Progress(parse_platforms(["linux/arm/v7", "linux/amd64"]))
    events = feed(
        progress,
        {
            "vertexes": [
                vertex("d", "[4/4] RUN z", "c", started=START),
                vertex("c", "[3/4] RUN y", "b", "ctx"),
                vertex("b", "[linux/arm/v7 2/4] COPY x /", "ctx"),
                vertex("ctx", "[internal] load build context"),
            ]
        },
    )

    assert events == [StepStarted("linux/arm/v7", "[4/4] RUN z")]


def test_step_whose_inputs_disagree_has_no_platform() -> None:
    """A step that takes from two platforms belongs to neither."""
    progress = Progress(parse_platforms(["linux/arm/v7", "linux/amd64"]))
    feed(
        progress,
        {
            "vertexes": [
                vertex("c", "[2/2] RUN y", "a", "b"),
                vertex("a", "[linux/arm/v7 1/2] COPY x /"),
                vertex("b", "[linux/amd64 1/2] COPY x /"),
            ]
        },
    )

    assert progress.platform_of("c") == ""


def test_platforms_that_share_an_input_are_not_mixed_up() -> None:
    """`FROM scratch`, one COPY for all: its name has some platform, and what runs on it may be another's."""
    progress = Progress(parse_platforms(["linux/386", "linux/amd64"]))
    feed(
        progress,
        {
            "vertexes": [
                vertex("b", "[2/2] RUN for 386", "a"),
                vertex("c", "[2/2] RUN for amd64", "a"),
                vertex("a", "[linux/amd64 1/2] COPY x /"),
            ]
        },
    )

    assert progress.platform_of("b") == progress.platform_of("c") == ""


def test_inputs_in_a_circle_end() -> None:
    """A graph that isn't one doesn't hang the reader."""
    progress = Progress(())
    feed(progress, {"vertexes": [vertex("a", "[1/2] RUN x", "b"), vertex("b", "[2/2] RUN x", "a")]})

    assert progress.platform_of("a") == ""


def test_source_that_is_asked_for_its_key_first_is_reported_once() -> None:
    """BuildKit completes a local source twice: when it has its cache key, and when it has run."""
    name = "[internal] load .dockerignore"
    probe = vertex("a", name, started=START, completed=START)
    events = feed(
        Progress(()),
        {"vertexes": [probe, vertex("a", name, started=START)]},
        {"vertexes": [vertex("a", name, started=START, completed=END)]},
    )

    assert events == [StepStarted("", name), StepDone("", name, cached=False, seconds=1.5)]


def test_source_that_only_gave_its_key_is_done_at_the_end() -> None:
    """What completed at once and never ran again isn't left open."""
    events = feed(Progress(()), {"vertexes": [vertex("a", "[internal] x", started=START, completed=START)]})

    assert events == [StepStarted("", "[internal] x"), StepDone("", "[internal] x", cached=False, seconds=0)]


def test_cached_step_is_done_as_cached() -> None:
    """A step from the cache starts and ends in one line."""
    events = feed(Progress(()), {"vertexes": [vertex("a", "[1/2] x", started=START, completed=START, cached=True)]})

    assert events == [StepStarted("", "[1/2] x"), StepDone("", "[1/2] x", cached=True, seconds=0)]


def test_log_is_split_into_lines_and_parts_are_joined() -> None:
    """A line that comes in two pieces is one line; the two streams don't mix; the rest comes when the step ends."""
    progress = running()
    events = feed(
        progress,
        log("a", b"one\ntw"),
        log("a", b"error\n", stream=2),
        log("a", "o é".encode()[:-1]),
        log("a", "é".encode()[-1:] + b"\nrest"),
        {"vertexes": [vertex("a", "", started=START, completed=END)]},
    )

    lines = [event.line for event in events if isinstance(event, StepLog)]
    assert lines == ["one", "error", "two é", "rest"]
    assert isinstance(events[-1], StepDone)


def test_line_without_end_is_given_in_pieces() -> None:
    """A step that never ends a line can't fill the memory."""
    events = feed(running(), log("a", b"x" * 40_000))

    assert [len(event.line) for event in events if isinstance(event, StepLog)] == [16_384]


def test_a_steps_last_lines_are_kept_for_the_error() -> None:
    """The failing step keeps its own last lines; a step that was stopped for it doesn't count as failed."""
    progress = running()
    feed(
        progress,
        log("a", b"".join(b"line %d\n" % n for n in range(KEPT_LINES + 5))),
        {"vertexes": [vertex("b", "[linux/arm64 2/3] RUN y", started=START, completed=END, error="context canceled")]},
        {"vertexes": [vertex("a", "", started=START, completed=END, error="exit code: 3")]},
    )

    assert progress.failed is not None
    assert progress.failed.error == "exit code: 3"
    assert (progress.failed.lines[0], len(progress.failed.lines)) == ("line 5", KEPT_LINES)


def test_line_that_is_not_json_is_kept_as_log() -> None:
    """What buildctl says beside its progress isn't lost; the final error comes as an exception."""
    progress = Progress(())
    events = feed(progress, b'time="x" level=warning\n', b"[1, 2]\n", b"\n", b"error: failed to solve: no\n")

    assert events == [StepLog("", "buildctl", 'time="x" level=warning'), StepLog("", "buildctl", "[1, 2]")]
    assert progress.plain[-1] == "error: failed to solve: no"


def test_warning_of_the_dockerfile_is_a_note() -> None:
    """BuildKit's lint warnings reach the user."""
    short = base64.b64encode(b"FromAsCasing: no").decode()

    assert feed(Progress(()), {"warnings": [{"vertex": "a", "short": short}]}) == [
        Note("FromAsCasing: no", warning=True)
    ]


def test_what_a_step_prints_cannot_reach_the_terminal() -> None:
    """Colours, titles, cursor moves and overwritten states are gone; text remains."""
    printed = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b(Bok\x08\x9b2J\t| ě"

    assert clean(printed.encode()) == "red ok  | ě"
    assert clean(b"10%\r50%\r100%\r\n") == "100%"
    assert clean(b"\r\n") == ""


@given(st.binary(max_size=300))
def test_cleaned_text_is_printable(data: bytes) -> None:
    """Whatever a step prints: one line, nothing but printable characters."""
    assert clean(data).isprintable()


@given(
    st.lists(
        st.binary(max_size=80)
        | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(
            lambda value: json.dumps({"vertexes": value, "logs": value, "warnings": value}).encode()
        )
    )
)
def test_no_line_breaks_the_reader(lines: list[bytes]) -> None:
    """Lines of any content give events or nothing, never an exception."""
    feed(Progress(()), *lines)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            key: st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers() | st.text())
            for key in (
                "digest",
                "name",
                "inputs",
                "started",
                "completed",
                "cached",
                "error",
                "vertex",
                "data",
                "stream",
            )
        },
    )
)
def test_no_object_breaks_the_reader(value: dict[str, Any]) -> None:
    """Fields of any type are taken or left, never an exception."""
    feed(running(), {"vertexes": [value], "logs": [value, value | {"vertex": "a"}], "warnings": [value]})


def test_bytes_of_a_step_are_told() -> None:
    """What a base image's layers have arrived of, where BuildKit knows their size; nothing of a step that is done."""
    progress = Progress(parse_platforms(["linux/amd64"]))
    name, item = "[linux/amd64 1/2] FROM x", {"id": "sha256:\x07ab", "vertex": "a"}
    events = feed(
        progress,
        {"vertexes": [vertex("a", name, started=START)], "statuses": [{**item, "current": 5, "total": 9}]},
        {"statuses": [{**item, "current": 7}, {**item, "current": 7, "total": 0}, {**item, "current": 9, "total": 8}]},
        {"statuses": [{**item, "vertex": "b", "current": 1, "total": 2}, {**item, "current": "1", "total": 2}]},
        {"vertexes": [vertex("a", name, started=START, completed=END)]},
        {"statuses": [{**item, "current": 9, "total": 9}]},
    )

    assert events[1:-1] == [StepProgress("linux/amd64", "[1/2] FROM x", "sha256:ab", 5, 9)]
    assert isinstance(events[-1], StepDone)
