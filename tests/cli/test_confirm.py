"""The question before something is removed, on a real terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import output_of, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, embedded
from tests.support.terminal import shown

COMMANDS = {
    "tag rm": ["tag", "rm", "{}:old"],
    "cleanup apply": ["cleanup", "apply", "{}", "--match", "old", "--keep", "0"],
}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    layout = tmp_path / "layout"
    make_layout(layout, ("linux/amd64",), tag="1")
    with embedded(tmp_path / "registry") as running:
        for tag in ("new", "old"):
            output_of(regkit("copy", f"oci:{layout}:1", f"{running.host}/app:{tag}"))
        yield running


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2)])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_drawn_over_a_question(
    registry: RunningRegistry, tmp_path: Path, command: str, answer: str, code: int
) -> None:
    """It stands there until it is answered, and the answer is what counts."""
    words = [word.format(f"{registry.host}/app") for word in COMMANDS[command]]

    screen = shown(*words, columns=100, home=tmp_path, question="Remove them? [y/N]:", answer=f"{answer}\n".encode())

    left = ["new"] if answer == "y" else ["new", "old"]
    assert (screen.exit_code, registry.tags("app")) == (code, left), screen.text
    assert screen.cursor_visible
