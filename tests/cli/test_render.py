"""How events are shown: each mode on its own, and what no mode lets through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import get_args

import pytest

from regkit import events
from regkit.cli.output import choose_color
from regkit.cli.render import rendering
from regkit.cli.render_text import describe
from regkit.errors import Refused
from regkit.events import Event
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.platform import Platform

DIGEST = Digest.of(b"x")
IMAGE = Descriptor("application/vnd.oci.image.manifest.v1+json", DIGEST, 500, Platform("linux", "arm64"))
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
    (events.StepProgress("linux/arm64", "[1/3] FROM x", "sha256:ab", 5, 9), None, None),
    (events.StepLog("linux/arm64", "[2/3] RUN x", "hello"), None, "[linux/arm64] | hello"),
    (
        events.PlatformTested("linux/arm64", passed=True, seconds=2),
        "[linux/arm64] test passed  2.0s",
        "[linux/arm64] test passed  2.0s",
    ),
    (
        events.ImageFound(IMAGE, (BLOB,), 5_000_500),
        None,
        f"image linux/arm64 {DIGEST}: 1 layer, 4.8 MiB",
    ),
    (events.BlobProgress(BLOB, 1_000_000), None, None),
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
    (events.ReleaseUp(IMAGE, ("registry.example/app@sha256:…",)), None, None),
    (events.Failed("it broke", "mend it", 1), None, None),
    (
        events.RetryScheduled("GET /v2/", "answered 503", 2, 0.51),
        "again in 0.5s (try 2): GET /v2/: answered 503",
        "again in 0.5s (try 2): GET /v2/: answered 503",
    ),
    (events.RequestServed("GET", "/v2/", 200, 0), "GET /v2/ 200 uploads=0", "GET /v2/ 200 uploads=0"),
]


MATRIX = [
    "PLATFORM     DIGEST" + " " * 67 + "SIZE     LAYERS  CACHED  TEST",
    f"linux/arm64  {DIGEST}  4.8 MiB  1       0 of 1  passed",
]


def test_every_event_has_a_sample() -> None:
    """A new kind of event can't be forgotten here, and so not in the rendering."""
    assert {type(event) for event, _, _ in SAMPLES} == set(get_args(Event))


@pytest.mark.parametrize(("event", "plain", "verbose"), SAMPLES)
def test_lines(event: Event, plain: str | None, verbose: str | None) -> None:
    """Each event is a line for people, or none; --verbose shows more."""
    assert describe(event, verbose=False) == plain
    assert describe(event, verbose=True) == verbose


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Show as on a user's machine, unless the test says otherwise."""
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    yield
    choose_color("auto")


def render(mode: str, *, quiet: bool = False, verbose: bool = False) -> None:
    with rendering(mode, quiet=quiet, verbose=verbose) as report:
        for event, _, _ in SAMPLES:
            report(event)


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Give what was written to stderr; stdout isn't for events."""
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def with_matrix(lines: list[str | None]) -> list[str]:
    """Put the matrix where the release is up."""
    before = next(number for number, (event, _, _) in enumerate(SAMPLES) if isinstance(event, events.ReleaseUp))
    return [line for line in (*lines[:before], *MATRIX, *lines[before:]) if line is not None]


def test_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """Plain lines go to stderr, in order, and the matrix when the release is up; nothing to stdout."""
    render("plain")

    assert shown(capsys) == with_matrix([line for _, line, _ in SAMPLES])


def test_auto_is_plain_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe there is no animation."""
    render("auto", verbose=True)

    assert shown(capsys) == with_matrix([line for _, _, line in SAMPLES])


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each event is one JSON object on one line, all of its fields in it; --quiet doesn't take them away."""
    render("json", quiet=True)

    documents = [json.loads(line) for line in shown(capsys)]
    assert [document["event"] for document in documents] == [type(event).__name__ for event, _, _ in SAMPLES]
    for document, (event, _, _) in zip(documents, SAMPLES, strict=True):
        assert set(document) == {"event", *event._fields}
    assert documents[-1] == {"event": "RequestServed", "method": "GET", "path": "/v2/", "status": 200, "uploads": 0}
    [found] = [document for document in documents if document["event"] == "ImageFound"]
    assert found == {
        "event": "ImageFound",
        "descriptor": IMAGE.to_json(),
        "layers": [BLOB.to_json()],
        "size": 5_000_500,
    }


def test_json_lines_tell_of_the_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """The last event says how the command ends; the error goes on its way."""
    with pytest.raises(Refused), rendering("json", quiet=False, verbose=False):
        raise Refused("no", hint="ask")

    [line] = shown(capsys)
    assert json.loads(line) == {"event": "Failed", "message": "no", "hint": "ask", "exit_code": 9}


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


@pytest.mark.parametrize("mode", ["plain", "tty"])
def test_the_matrix_of_a_build(capsys: pytest.CaptureFixture[str], mode: str) -> None:
    """Without a release it stands at the end, after a failure nowhere."""

    def build(*, fails: bool) -> str:
        with suppress(Refused), rendering(mode, quiet=False, verbose=False) as report:
            report(events.ImageFound(IMAGE, (BLOB,), 5_000_500))
            if fails:
                raise Refused("no")
        return capsys.readouterr().err

    assert DIGEST.short in build(fails=False)
    assert DIGEST.short not in build(fails=True)


@pytest.mark.parametrize("mode", ["plain", "tty", "json", "none"])
def test_a_listener_hears_all(mode: str) -> None:
    """Whatever is shown, who listens hears every event, in order."""
    heard: list[Event] = []
    with rendering(mode, quiet=True, verbose=False, listener=heard.append) as report:
        for event, _, _ in SAMPLES:
            report(event)

    assert heard == [event for event, _, _ in SAMPLES]


@pytest.mark.parametrize("mode", ["plain", "tty"])
def test_a_registry_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str], mode: str) -> None:
    """Control sequences in what a registry said are not written."""
    evil = "before\x1b]0;title\x07\x9b31mafter\r"
    with rendering(mode, quiet=False, verbose=True) as report:
        report(events.Note(evil))
        report(events.StageStarted("push", evil))
        report(events.TagKept(evil, evil))

    err = capsys.readouterr().err
    assert err.count("before ]0;title  31mafter") >= 3
    assert "\x1b]" not in err
    assert "\x9b" not in err


@pytest.mark.parametrize(
    ("choice", "env", "colored"),
    [("auto", {}, False), ("always", {}, True), ("always", {"NO_COLOR": "1"}, True), ("never", {}, False)],
)
def test_colors_of_plain_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, choice: str, env: dict[str, str], colored: bool
) -> None:
    """In a pipe only who asks for colours gets them; an option goes before `NO_COLOR`."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    choose_color(choice)
    with rendering("plain", quiet=False, verbose=False) as report:
        report(events.Note("careful", warning=True))

    assert shown(capsys) == ["\x1b[33mwarning: careful\x1b[0m" if colored else "warning: careful"]


@pytest.mark.parametrize(
    ("choice", "env", "colored"),
    [
        ("auto", {"TERM": "xterm"}, True),
        ("auto", {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ("auto", {"TERM": "xterm", "NO_COLOR": ""}, True),
        ("never", {"TERM": "xterm"}, False),
        ("always", {"TERM": "xterm", "NO_COLOR": "1"}, True),
        ("always", {"TERM": "dumb"}, True),
    ],
)
def test_colors_of_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, choice: str, env: dict[str, str], colored: bool
) -> None:
    """On a terminal there are colours, unless `NO_COLOR` is set to something or they are switched off."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.delenv("COLORTERM", raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    choose_color(choice)
    with rendering("tty", quiet=False, verbose=False) as report:
        report(events.Note("careful", warning=True))

    err = capsys.readouterr().err
    assert "careful" in err
    assert ("\x1b[33m" in err) == colored
