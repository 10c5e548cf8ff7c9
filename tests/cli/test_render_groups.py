"""The logs of GitHub and GitLab: what is folded, what is seen, and what a build can't say to them."""

from __future__ import annotations

import re

import pytest

from regkit import events
from regkit.cli.render import rendering
from regkit.events import Event
from regkit.oci.digest import Digest

DIGEST = Digest.of(b"x")
RELEASE: tuple[Event, ...] = (
    events.StageStarted("plan", "asking a registry"),
    events.StageStarted("build", "building Dockerfile"),
    events.StepDone("linux/arm64", "[2/3] RUN x", cached=False, seconds=1),
    events.StepLog("linux/arm64", "[2/3] RUN x", "hello"),
    events.Note("careful", warning=True),
    events.StageStarted("push", "pushing to a"),
    events.StageStarted("push", "pushing to b"),
    events.StageStarted("tag", "tagging a"),
    events.TagMoved("1", DIGEST),
)


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)


def shown(capsys: pytest.CaptureFixture[str], *reported: Event, mode: str = "auto") -> list[str]:
    with rendering(mode, quiet=False, verbose=False) as report:
        for event in reported:
            report(event)
    return capsys.readouterr().err.split("\n")[:-1]


def test_github_folds_what_is_long(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Build and push are groups, with the build's own lines; the tags and warnings are seen without a click."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    assert shown(capsys, *RELEASE) == [
        "==> asking a registry",
        "::group::building Dockerfile",
        "[linux/arm64] [2/3] RUN x  1.0s",
        "[linux/arm64] | hello",
        "::endgroup::",
        "warning: careful",
        "::group::pushing to a",
        "==> pushing to b",
        "::endgroup::",
        "==> tagging a",
        f"tagged 1 -> {DIGEST.short}",
    ]


def test_gitlab_folds_the_same(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each section ends under the name that it began with, which no other one has; it begins folded."""
    monkeypatch.setenv("GITLAB_CI", "true")

    lines = shown(capsys, *RELEASE)

    marks = [found.groups() for line in lines if (found := re.match(r"\x1b\[0Ksection_(\w+):\d+:(\w+)(.*)", line))]
    assert marks == [
        ("start", "regkit_build_1", "[collapsed=true]\r\x1b[0Kbuilding Dockerfile"),
        ("end", "regkit_build_1", "\r\x1b[0K"),
        ("start", "regkit_push_2", "[collapsed=true]\r\x1b[0Kpushing to a"),
        ("end", "regkit_push_2", "\r\x1b[0K"),
    ]
    assert lines[-2:] == ["==> tagging a", f"tagged 1 -> {DIGEST.short}"]


def test_who_asks_for_plain_lines_gets_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--progress plain` has no marks, wherever it runs."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    lines = shown(capsys, *RELEASE, mode="plain")

    assert not [line for line in lines if "::" in line]
    assert "==> building Dockerfile" in lines


@pytest.mark.parametrize("variable", ["GITHUB_ACTIONS", "GITLAB_CI"])
def test_a_group_ends_with_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The error's sentence comes after the group, and isn't folded away."""
    monkeypatch.setenv(variable, "true")

    def broken() -> None:
        with rendering("auto", quiet=False, verbose=False) as report:
            report(events.StageStarted("build", "building"))
            report(events.Note("careful", warning=True))
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        broken()

    *_, end, warning = capsys.readouterr().err.split("\n")[:-1]
    assert "endgroup" in end or "section_end" in end
    assert warning == "warning: careful"


EVIL = ("::add-mask::x", "  ::set-output name=a::b", "a ##[error]x", "\x1b[0Ksection_end:1:regkit_build_1\r\x1b[0K")


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("variable", ["GITHUB_ACTIONS", "GITLAB_CI"])
def test_a_build_cannot_command_the_ci(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str, evil: str
) -> None:
    """Only our own two marks are what the runner, or the log's reader, takes for one; the rest comes out as text."""
    monkeypatch.setenv(variable, "true")

    lines = shown(
        capsys,
        events.Note(f"first\n{evil}"),
        events.StageStarted("tag", evil),
        events.TagKept("1", evil),
        events.StageStarted("build", evil),
        events.StepLog("", evil, evil),
        events.StepDone("", f"[1/1] {evil}", cached=False, seconds=0, error=evil),
    )

    github = variable == "GITHUB_ACTIONS"
    marks = [
        number
        for number, line in enumerate(lines)
        if (line.strip().startswith("::") or "##[" in line if github else not line.isprintable())
    ]
    assert marks == [4, 7]
    assert len(lines) == 8


def test_a_failure_in_the_middle(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The step's own lines come once more with the error, by the command: here they are folded."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    lines = shown(
        capsys,
        events.StageStarted("build", "building"),
        events.StepDone("", "[1/1] RUN x", cached=False, seconds=0, error="exit code 1"),
    )

    assert lines == ["::group::building", "[1/1] RUN x  FAILED: exit code 1", "::endgroup::"]
