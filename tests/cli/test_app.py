"""The frame of all commands: what the machine refuses, and who sees tracebacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import clean_environment, fails, regkit

LONG = "a" * 300
"""A name that no file system takes, from root neither."""


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", f"oci-archive:{LONG}"),
        ("copy", f"oci-archive:{LONG}", "ocidir://copy"),
        ("build", LONG),
        ("init", LONG),
        ("merge", "--image", "localhost:1/app", "--digest-dir", LONG),
        ("readme", "push", "--image", "a/b", "--file", LONG),
        ("registry", "gc", LONG),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_file_that_the_machine_refuses(arguments: tuple[str, ...]) -> None:
    """It is named, with the reason, in one sentence; --debug shows where that was."""
    done = regkit(*arguments)

    assert done.stdout == ""
    assert done.returncode != 0
    assert done.stderr.startswith("regkit: error: ")
    assert f"{LONG}" in done.stderr
    assert "File name too long" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in regkit("--debug", *arguments).stderr


@pytest.mark.parametrize("command", ["tag ls localhost:1/app", "publish --image localhost:1/app", "build"])
def test_a_working_directory_that_was_removed(command: str, tmp_path: Path) -> None:
    """Exit code 2, and a sentence."""
    (tmp_path / "gone").mkdir()
    line = f"cd gone && rmdir ../gone && exec {sys.executable} -m regkit {command}"

    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=clean_environment(tmp_path), capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("regkit: error: the working directory isn't there any more\n")


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("true", True), ("0", False), ("", False), ("off", False)])
def test_a_variable_asks_for_tracebacks(value: str, shown: bool) -> None:
    """As the option does; one that says no doesn't."""
    done = regkit("inspect", "A/B", env={"REGKIT_DEBUG": value})

    assert done.returncode == 2
    assert ("Traceback" in done.stderr) is shown


def test_a_switch_that_is_neither_on_nor_off() -> None:
    """It is told in one sentence."""
    said = fails("tag", "rm", "localhost:1/app:1", env={"REGKIT_YES": "maybe"}, code=2)

    assert "Invalid value for '--yes' / '-y' (env var: 'REGKIT_YES'): 'maybe' is not a valid boolean\n" in said
