"""Streams that are closed or take nothing: the command says so, and shows no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import clean_environment
from tests.support.layouts import make_layout


def run(command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `$regkit` is the command."""
    env = clean_environment(directory, {"PATH": os.environ["PATH"], "regkit": f"{sys.executable} -m regkit"})
    return subprocess.run(["bash", "-c", command], cwd=directory, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["--help", "--version", "resolve ocidir://layout", "manifest get ocidir://layout"])
def test_a_full_disk_behind_stdout(command: str, tmp_path: Path) -> None:
    """1 and one sentence: whoever reads the file must not take it for the result."""
    make_layout(tmp_path / "layout")

    done = run(f"$regkit {command} > /dev/full", tmp_path)

    assert done.stderr == "regkit: error: the result can't be written to stdout: No space left on device\n"
    assert done.returncode == 1


@pytest.mark.parametrize("closed", [">&-", "<&-", ">&- <&-"])
def test_closed_streams(closed: str, tmp_path: Path) -> None:
    """What is closed is nobody's: the command does its work, and no file that it opens gets the stream's number."""
    index = make_layout(tmp_path / "layout", tag="built")

    done = run(f"$regkit copy ocidir://layout:built ocidir://copy {closed}", tmp_path)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert run("$regkit resolve ocidir://copy", tmp_path).stdout == f"ocidir://copy@{index.digest}\n"


def test_names_from_a_closed_stdin(tmp_path: Path) -> None:
    """Nothing comes from there, which is told as for an empty one."""
    done = run("$regkit resolve - <&-", tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing came on stdin" in done.stderr


def test_a_reader_that_has_gone(tmp_path: Path) -> None:
    """No sentence, as with every other program in a pipe, and no traceback; the exit code says that it was cut off."""
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [sys.executable, "-m", "regkit", "registry", "quirks"],
        env=clean_environment(tmp_path),
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (1, b"")
