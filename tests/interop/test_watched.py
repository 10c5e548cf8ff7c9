"""How a real publish is watched elsewhere than on a common terminal: by scripts, in CI logs, on poor terminals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from regkit.events import Event
from tests.support.command import regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, distribution
from tests.support.terminal import Shown, shown

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference" / "events.md"
PLATFORMS = ["linux/amd64", "linux/arm64/v8"]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    with distribution(tmp_path / "registry") as running:
        yield running


def documented() -> dict[str, dict[str, str]]:
    """Read the reference: each event's fields and their types."""
    sections = re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", REFERENCE.read_text(), re.DOTALL | re.MULTILINE)
    return {name: dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE)) for name, text in sections}


def is_a(value: Any, kind: str) -> bool:
    """Tell whether a JSON value is of a documented type."""
    if kind.startswith("array of: "):
        return isinstance(value, list) and all(is_a(each, kind.removeprefix("array of: ")) for each in value)
    if kind == "descriptor":
        return isinstance(value, dict) and {"mediaType", "digest", "size"} <= value.keys()
    types: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "string, a digest": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
        "null": type(None),
    }
    return any(isinstance(value, types[each]) for each in kind.split(" or "))


def test_json_lines_are_as_documented(registry: RunningRegistry, hello: Path, builder: str) -> None:
    """Every line is an event of the reference with exactly its fields; they tell of all that was done."""
    image = f"{registry.host}/team/hello"
    words = ("--image", image, "--platform", ",".join(PLATFORMS), "--version", "v1.2.3", "--test", '["/hello"]')

    done = regkit("--progress", "json", "publish", hello, *words, env={"BUILDKIT_HOST": builder})

    kinds = documented()
    assert set(kinds) == {kind.__name__ for kind in get_args(Event)}
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    for line in lines:
        fields = kinds[line["event"]]
        assert line.keys() == {"event", *fields}
        assert [name for name, kind in fields.items() if not is_a(line[name], kind)] == [], line
    found = {kind: [line for line in lines if line["event"] == kind] for kind in kinds}
    platforms = [line["descriptor"]["platform"]["architecture"] for line in found["ImageFound"]]
    assert platforms == ["amd64", "arm64"]
    assert [line["tag"] for line in found["TagMoved"]] == ["1", "1.2", "1.2.3", "latest"]
    assert {line["platform"]: line["passed"] for line in found["PlatformTested"]} == dict.fromkeys(PLATFORMS, True)
    [up] = found["ReleaseUp"]
    assert up["names"] == done.stdout.splitlines()
    steps = [line for line in found["StepDone"] if line["platform"] == PLATFORMS[1]]
    assert len([line for line in steps if line["name"].startswith("[")]) == 2


def test_json_lines_end_with_the_failure(registry: RunningRegistry, hello: Path, builder: str) -> None:
    """The last event says why, and with which exit code; after it the sentence for people."""
    words = ("--image", f"{registry.host}/x", "--platform", "linux/amd64", "--version", "v1", "--test", '["/nothing"]')

    done = regkit(
        "--progress", "json", "publish", hello, *words[:5], "v1.0.0", *words[6:], env={"BUILDKIT_HOST": builder}
    )

    *_, last, sentence = (line for line in done.stderr.splitlines() if not line.startswith("  hint: "))
    document = json.loads(last)
    assert (document["event"], document["exit_code"]) == ("Failed", done.returncode)
    assert sentence == f"regkit: error: {document['message']}"


@pytest.mark.parametrize("env", [{"GITHUB_ACTIONS": "true"}, {"GITLAB_CI": "true"}], ids=["GitHub", "GitLab"])
def test_the_matrix_stands_outside_of_the_groups(
    registry: RunningRegistry, hello: Path, builder: str, env: Mapping[str, str]
) -> None:
    """The build is folded with its own lines in it; tags and matrix are seen at once."""
    words = ("--image", f"{registry.host}/team/hello", "--platform", "linux/amd64", "--version", "v1.2.3", "--rebuild")

    done = regkit("publish", hello, *words, env={"CI": "true", "BUILDKIT_HOST": builder, **env})

    opened, closed = ("::group::", "::endgroup::") if "GITHUB_ACTIONS" in env else ("section_start:", "section_end:")
    outside, depth = [], 0
    for line in done.stderr.split("\n"):
        depth += line.count(opened) - line.count(closed)
        assert depth in (0, 1)
        if depth == 0:
            outside.append(line)
    assert done.stderr.count(opened) == 2, "build and push"
    assert [line for line in outside if line.startswith("tagged ")] != []
    assert [line for line in outside if line.startswith("linux/amd64")] != []
    assert [line for line in outside if "RUN" in line or line.startswith("pushed ")] == []


def on_terminal(registry: RunningRegistry, root: Path, columns: int, env: Mapping[str, str]) -> Shown:
    """Publish a layout on a terminal."""
    make_layout(root / "layout", PLATFORMS)
    words = ("--from", "layout", "--image", f"{registry.host}/team/hello", "--version", "v1.2.3")
    return shown("publish", *words, columns=columns, home=root, env=env, cwd=root)


def test_a_dumb_terminal_gets_lines(registry: RunningRegistry, tmp_path: Path) -> None:
    """Nothing moves, and nothing is coloured."""
    screen = on_terminal(registry, tmp_path, 80, {"TERM": "dumb"})

    assert screen.ansi == screen.text
    assert "==> tagging" in screen.text
    assert screen.exit_code == 0


def test_a_terminal_in_ci_gets_lines(registry: RunningRegistry, tmp_path: Path) -> None:
    """Some CI systems run jobs on a terminal, and keep every state of it in their logs."""
    screen = on_terminal(registry, tmp_path, 80, {"CI": "true"})

    assert "==> tagging" in screen.text


def test_a_terminal_without_unicode(registry: RunningRegistry, tmp_path: Path) -> None:
    """What it can't show isn't written."""
    screen = on_terminal(
        registry, tmp_path, 80, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    )

    assert screen.exit_code == 0, screen.text
    assert screen.text.isascii()
    assert "* tagging" in screen.text


@pytest.mark.parametrize("columns", [20, 40])
def test_a_very_narrow_terminal(registry: RunningRegistry, tmp_path: Path, columns: int) -> None:
    """Lines are cut or broken, and the result is whole."""
    screen = on_terminal(registry, tmp_path, columns, {})

    assert screen.exit_code == 0, screen.text
    assert re.search(r"team/hello@sha256:[0-9a-f]{64}$", screen.text.replace("\n", ""))


def test_errors_are_broken_between_words(registry: RunningRegistry, tmp_path: Path) -> None:
    """On a narrow terminal no word is cut, and the sentence is the one that a pipe gets."""
    words = ("inspect", f"{registry.host}/team/nothing:1.2.3")

    on_screen = shown(*words, columns=40, home=tmp_path)
    in_pipe = regkit(*words)

    start = on_screen.text.index("regkit: error:")
    assert on_screen.text[start:].split() == in_pipe.stderr[in_pipe.stderr.index("regkit: error:") :].split()
    assert on_screen.exit_code == in_pipe.returncode == 5
