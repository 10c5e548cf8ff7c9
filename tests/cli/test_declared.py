"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ops.support import serving
from tests.support.command import fails, regkit
from tests.support.layouts import make_layout


@pytest.mark.parametrize("command", ["publish", "plan", "build", "merge"])
@pytest.mark.parametrize("text", ["a b", "8f3c2b1-dirty"])
def test_an_impossible_commit(command: str, text: str) -> None:
    """It is refused by every command that takes one, whether a tag is made of it or not: exit code 2."""
    asked = (command, "--image", "localhost:1/app")

    assert f"not a commit: {text!r}" in fails(*asked, "--commit", text, code=2)
    assert f"not a commit: {text!r}" in fails(*asked, code=2, env={"REGKIT_COMMIT": text})


def test_an_impossible_commit_of_a_configuration(tmp_path: Path) -> None:
    """The file and the line are named."""
    (tmp_path / "regkit.toml").write_text('[publish.app]\nimage = "a.example/b"\ncommit = "a b"\n')

    done = regkit("publish", cwd=tmp_path)

    assert done.returncode == 2
    assert "regkit.toml:3: publish.app.commit: not a commit: 'a b'" in done.stderr


def test_a_commit_that_is_empty_is_none(tmp_path: Path) -> None:
    """So is that of a CI where nothing is known of it: `--commit "$SHA"`."""
    make_layout(tmp_path / "layout", ("linux/amd64",))
    with serving() as served:
        asked = ("--image", f"{served.host}/app", "--version", "1.2.3", "--commit", "")
        assert regkit("publish", "--from", tmp_path / "layout", *asked).returncode == 0
        assert served.tags("app")
