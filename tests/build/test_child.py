"""Tools on PATH and child processes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from regkit.build.child import Group, child, find_tool, guard


def test_tool_is_found_on_the_path_that_is_given(env: dict[str, str], tmp_path: Path) -> None:
    """Not on the process's own PATH."""
    assert find_tool("setpriv", env) is not None
    assert find_tool("setpriv", {"PATH": str(tmp_path)}) is None


def test_namesake_of_busybox_does_not_count(tmp_path: Path) -> None:
    """Those of busybox don't help: its setpriv knows no --pdeathsig, its unshare no --kill-child."""
    (tmp_path / "setpriv").symlink_to("/bin/busybox")

    assert find_tool("setpriv", {"PATH": str(tmp_path)}) is None
    assert guard({"PATH": str(tmp_path)}) == ()


def test_child_that_ignores_term_is_killed_in_time(env: dict[str, str]) -> None:
    """After the grace the whole group gets SIGKILL, its own children too; what was raised passes through."""
    script = "trap '' TERM; sleep 1000 & echo $!; wait"
    started: list[subprocess.Popen[bytes]] = []
    grandchildren: list[int] = []

    def interrupted() -> None:
        with child(["sh", "-c", script], env, output=subprocess.PIPE, grace=0.05) as process:
            started.append(process)
            assert process.stdout is not None
            grandchildren.append(os.pidfd_open(int(process.stdout.readline())))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert started[0].returncode == -signal.SIGKILL
    waiter = select.poll()
    waiter.register(grandchildren[0])
    assert waiter.poll(5000), "the grandchild still runs"
    os.close(grandchildren[0])


def test_child_has_a_process_group_of_its_own(env: dict[str, str]) -> None:
    """A Ctrl-C on the terminal reaches us alone; what is below is ended in order."""
    with child(["sh", "-c", "exec sleep 1000"], env, output=subprocess.DEVNULL, grace=1) as process:
        assert os.getpgid(process.pid) == process.pid != os.getpgrp()

    assert process.returncode == -signal.SIGTERM


def test_group_ends_together(env: dict[str, str]) -> None:
    """All that run get SIGTERM, one that has left doesn't, and one that joins later ends at once."""
    group = Group()
    with child(["true"], env, output=subprocess.DEVNULL, grace=5, group=group) as gone:
        gone.wait()
    with (
        child(["sleep", "1000"], env, output=subprocess.DEVNULL, grace=5, group=group) as one,
        child(["sleep", "1000"], env, output=subprocess.DEVNULL, grace=5, group=group) as two,
    ):
        group.stop()
        assert [one.returncode, two.returncode] == [-signal.SIGTERM] * 2
        with child(["sleep", "1000"], env, output=subprocess.DEVNULL, grace=5, group=group) as late:
            assert late.returncode == -signal.SIGTERM

    assert group.stopped
    assert gone.returncode == 0
