"""A run's own directories, locks and DOCKER_CONFIG."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from regkit.build.workspace import cache_root, lock_file, private_directory, scratch, workspace
from regkit.errors import UsageError
from tests.support.waiting import until

_HOLD = """
import os, sys
from pathlib import Path
from regkit.build.workspace import lock_file
lock = lock_file(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.readline()
"""

_DIE = """
import os, signal, sys
from regkit.build.workspace import cache_root, scratch, workspace
env = dict(os.environ)
with workspace(env) if sys.argv[1] == "workspace" else scratch(cache_root(env) / "run") as mine:
    directory = getattr(mine, "path", mine)
    (directory / "layout").mkdir()
    print(directory, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_cache_is_where_the_user_keeps_caches() -> None:
    """An absolute XDG_CACHE_HOME, else ~/.cache; a relative one is invalid by its specification."""
    assert cache_root({"XDG_CACHE_HOME": "/c", "HOME": "/h"}) == Path("/c/regkit")
    assert cache_root({"XDG_CACHE_HOME": "", "HOME": "/h"}) == Path("/h/.cache/regkit")
    assert cache_root({"XDG_CACHE_HOME": "c", "HOME": "/h"}) == Path("/h/.cache/regkit")


def test_workspace_is_private_and_removed(tmp_path: Path) -> None:
    """Nobody else can read it; it's gone afterwards, also after an error."""
    seen: list[Path] = []

    def fail() -> None:
        with workspace({"XDG_CACHE_HOME": str(tmp_path)}) as directory:
            seen.append(directory)
            assert mode(directory) == mode(directory.parent) == 0o700
            (directory / "file").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert not seen[0].exists()


def die(env: dict[str, str], where: str) -> Path:
    """Have a process killed that has such a directory; give that."""
    argv = [sys.executable, "-c", _DIE, where]
    killed = subprocess.run(argv, env=env, stdout=subprocess.PIPE, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    return Path(killed.stdout.strip())


def test_workspace_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    """SIGKILL leaves no layers, and no logins that were lent."""
    left = die({**os.environ, "XDG_CACHE_HOME": str(tmp_path)}, "workspace")

    assert left.parent == tmp_path / "regkit" / "run"
    until(lambda: not left.exists(), "it's gone")


def test_directory_of_a_killed_run_is_removed_by_the_next(tmp_path: Path) -> None:
    """A live one stays."""
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    left = die(env, "scratch")
    assert (left / "layout").is_dir()

    with workspace(env) as first, workspace(env) as second:
        assert not left.exists()
        assert first.is_dir()
        assert second.is_dir()


def test_scratch_leaves_alone_what_is_not_a_directory(tmp_path: Path) -> None:
    """A stray file doesn't stop a run."""
    base = tmp_path / "run"
    base.mkdir()
    (base / "stray").touch()

    with scratch(base) as mine:
        assert mine.path.is_dir()
    assert (base / "stray").exists()


def test_directory_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    """The sentence names it, the hint says what to set."""
    (tmp_path / "file").touch()

    with pytest.raises(UsageError, match=r"can't use the directory .*file/x: Not a directory") as caught:
        private_directory(tmp_path / "file" / "x")
    assert "XDG_CACHE_HOME" in str(caught.value.hint)


def test_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """In /tmp anybody may have made it first, or a link."""
    theirs, link = tmp_path / "theirs", tmp_path / "link"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    link.symlink_to(tmp_path, target_is_directory=True)

    for path in (theirs, link):
        with pytest.raises(UsageError, match="belongs to somebody else"):
            private_directory(path)


def test_lock_lasts_until_its_holder_is_gone(tmp_path: Path) -> None:
    """Busy: None after the wait; the holder ends within the wait: locked."""
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "locked\n"
        assert lock_file(path, wait=0.05) is None
        holder.stdin.write("\n")
        holder.stdin.flush()
        lock = lock_file(path, wait=30)
    assert lock is not None
    os.close(lock)
