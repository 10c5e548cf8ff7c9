from __future__ import annotations

import json
from typing import get_args

import pytest

from regkit import events
from regkit.cli.output import human_size, safe, table
from regkit.cli.render import describe, rendering
from regkit.events import Event
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest

DIGEST = Digest.of(b"x")
BLOB = Descriptor("application/octet-stream", DIGEST, 5_000_000)
SAMPLES: list[tuple[Event, str | None, str | None]] = [
    # what happened, its line, and its line with --verbose
    (events.Note("a decision"), "a decision", "a decision"),
    (events.Note("careful", warning=True), "warning: careful", "warning: careful"),
    (events.StageStarted("push", "pushing to a"), "==> pushing to a", "==> pushing to a"),
    (events.BuilderStarted("/cache", shared=True), None, "started buildkitd, its cache in /cache"),
    (
        events.BuilderStarted("/tmp/x", shared=False),
        "started buildkitd, its cache in /tmp/x",
        "started buildkitd, its cache in /tmp/x",
    ),
    (events.StepStarted("linux/arm64", "[2/3] RUN x"), None, None),
    (
        events.StepDone("linux/arm64", "[2/3] RUN x", cached=False, seconds=1.25),
        "[linux/arm64] [2/3] RUN x  1.2s",
        "[linux/arm64] [2/3] RUN x  1.2s",
    ),
    (events.StepDone("", "[1/3] FROM x", cached=True, seconds=0), "[1/3] FROM x  cached", "[1/3] FROM x  cached"),
    (events.StepDone("", "[internal] load x", cached=False, seconds=0), None, "[internal] load x  0.0s"),
    (events.StepDone("", "exporting", cached=False, seconds=0), None, "exporting  0.0s"),
    (
        events.StepDone("", "[1/1] RUN x", cached=False, seconds=3, error="exit code 1"),
        "[1/1] RUN x  FAILED: exit code 1",
        "[1/1] RUN x  FAILED: exit code 1",
    ),
    (events.StepLog("linux/arm64", "[2/3] RUN x", "hello"), None, "[linux/arm64] | hello"),
    (events.BlobPushed(BLOB), f"pushed {DIGEST.short}  4.8 MiB", f"pushed {DIGEST.short}  4.8 MiB"),
    (events.ContentExists(BLOB), None, f"exists {DIGEST.short}"),
    (events.ManifestPushed(BLOB), None, f"pushed {DIGEST.short}  manifest"),
    (events.ManifestPushed(BLOB, "1.2"), None, "pushed 1.2  manifest"),
    (events.TagMoved("1.2", DIGEST), f"tagged 1.2 -> {DIGEST.short}", f"tagged 1.2 -> {DIGEST.short}"),
    (
        events.TagMoved("1.2", DIGEST, DIGEST),
        f"tagged 1.2 -> {DIGEST.short} (was {DIGEST.short})",
        f"tagged 1.2 -> {DIGEST.short} (was {DIGEST.short})",
    ),
    (events.TagKept("latest", "2.0.0 is higher"), "kept latest: 2.0.0 is higher", "kept latest: 2.0.0 is higher"),
    (events.TagRemoved("x"), "removed x", "removed x"),
    (
        events.RetryScheduled("GET /v2/", "answered 503", 2, 0.51),
        "again in 0.5s (try 2): GET /v2/: answered 503",
        "again in 0.5s (try 2): GET /v2/: answered 503",
    ),
    (events.RequestServed("GET", "/v2/", 200, 0), "GET /v2/ 200 uploads=0", "GET /v2/ 200 uploads=0"),
]


def test_every_event_has_a_sample() -> None:
    """A new kind of event can't be forgotten here, and so not in the rendering."""
    assert {type(event) for event, _, _ in SAMPLES} == set(get_args(Event))


@pytest.mark.parametrize(("event", "plain", "verbose"), SAMPLES)
def test_lines(event: Event, plain: str | None, verbose: str | None) -> None:
    """Each event is a line for people, or none; --verbose shows more."""
    assert describe(event, verbose=False) == plain
    assert describe(event, verbose=True) == verbose


def render(mode: str, *, quiet: bool = False, verbose: bool = False) -> None:
    with rendering(mode, quiet=quiet, verbose=verbose, color="never") as report:
        for event, _, _ in SAMPLES:
            report(event)


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Give what was written to stderr; stdout isn't for events."""
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """Plain lines go to stderr, in order; nothing to stdout."""
    render("plain")

    assert shown(capsys) == [line for _, line, _ in SAMPLES if line is not None]


def test_auto_is_plain_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe there is no animation."""
    render("auto", verbose=True)

    assert shown(capsys) == [line for _, _, line in SAMPLES if line is not None]


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each event is one JSON object on one line, all of its fields in it; --quiet doesn't take them away."""
    render("json", quiet=True)

    documents = [json.loads(line) for line in shown(capsys)]
    assert [document["event"] for document in documents] == [type(event).__name__ for event, _, _ in SAMPLES]
    for document, (event, _, _) in zip(documents, SAMPLES, strict=True):
        assert set(document) == {"event", *event._fields}
    assert documents[-1] == {"event": "RequestServed", "method": "GET", "path": "/v2/", "status": 200, "uploads": 0}
    pushed = next(document for document in documents if document["event"] == "BlobPushed")
    assert pushed["descriptor"]["digest"] == DIGEST


@pytest.mark.parametrize(
    ("mode", "expected"), [("plain", ["warning: careful"]), ("tty", ["warning: careful"]), ("none", [])]
)
def test_quiet(capsys: pytest.CaptureFixture[str], mode: str, expected: list[str]) -> None:
    """--quiet leaves the warnings; `none` leaves nothing."""
    render(mode, quiet=True)

    assert shown(capsys) == expected


def test_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written."""
    render("none")

    assert capsys.readouterr() == ("", "")


def test_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the same lines appear, above a status that goes away."""
    monkeypatch.setenv("COLUMNS", "200")
    render("tty")

    lines = "\n".join(shown(capsys))
    for line in (line for _, line, _ in SAMPLES if line is not None):
        assert line in lines


@pytest.mark.parametrize("mode", ["plain", "tty"])
def test_a_registry_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str], mode: str) -> None:
    """Control sequences in what a registry said are not written."""
    with rendering(mode, quiet=False, verbose=False, color="never") as report:
        report(events.Note("before\x1b]0;title\x07\x9b31mafter\r"))

    err = capsys.readouterr().err
    assert "before ]0;title  31mafter" in err
    assert "\x1b]" not in err
    assert "\x9b" not in err


def test_safe() -> None:
    """Text is shown as it is, unless it holds what can't be shown."""
    assert safe("plain \u00e9 text") == "plain \u00e9 text"
    assert safe("a\nb\tc\x00\ud800\u202e") == "a b c   "
    assert safe("a\nb\x1b", keep="\n") == "a\nb "


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (7 << 40, "7168.0 GiB")],
)
def test_sizes_for_people(size: int, expected: str) -> None:
    """Powers of 1024, with the unit."""
    assert human_size(size) == expected


def test_tables() -> None:
    """Columns are aligned, and no line ends in blanks."""
    assert table([("A", "B"), ("long", "")]) == ["A     B", "long"]
