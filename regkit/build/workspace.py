"""Directories for one run: private, locked while anything of the run lives, removed by the next run at the latest."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from regkit.errors import UsageError

_LOCK = "lock"
_POLL = 0.02
_INHERIT = 'read -r _; rm -rf "$0" || { sleep 1; rm -rf "$0"; }'  # again, where something dying still wrote to it


@dataclass(frozen=True, slots=True)
class Scratch:
    """A directory of mode 0700. Whoever inherits `lock`, a file descriptor, keeps it from being removed as stale."""

    path: Path
    lock: int


def cache_root(env: Mapping[str, str]) -> Path:
    """Tell where regkit keeps what later runs use again: `$XDG_CACHE_HOME/regkit`, else `~/.cache/regkit`."""
    base = env.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path(env.get("HOME") or "/", ".cache")) / "regkit"


@contextmanager
def workspace(env: Mapping[str, str]) -> Iterator[Path]:
    """Give a directory for this run alone, removed at the end, be that SIGKILL: layers and lent logins lie in it.

    What was left behind all the same, by a machine that crashed, is removed first.
    """
    with scratch(cache_root(env) / "run") as mine, _heir(mine.path):
        yield mine.path


@contextmanager
def scratch(base: Path) -> Iterator[Scratch]:
    """Give a new locked directory below `base`, removed at the end; those of `base` that nobody locks go first."""
    private_directory(base)
    _remove_stale(base)
    mine = _create(base)
    try:
        yield mine
    finally:
        shutil.rmtree(mine.path, ignore_errors=True)
        os.close(mine.lock)


def private_directory(path: Path) -> Path:
    """Make sure of a directory that is ours, of mode 0700; raise UsageError where it can't be that."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            path.chmod(0o700)
            return path
    except OSError as error:
        raise UsageError(
            f"can't use the directory {path}: {error.strerror}", hint="set XDG_CACHE_HOME to a directory of yours"
        ) from None
    raise UsageError(f"the directory {path} belongs to somebody else", hint="set XDG_CACHE_HOME to one of yours")


def lock_file(path: Path, *, wait: float = 0.0) -> int | None:
    """Lock a file for as long as its descriptor is open, here or in a child; None if it stays busy for `wait` seconds.

    The file is made where it's missing.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                os.close(descriptor)
                return None
            time.sleep(_POLL)
        else:
            return descriptor


@contextmanager
def _heir(path: Path) -> Iterator[None]:
    """Have a process wait that removes a directory once we are dead, and isn't killed with us by a signal to our group.

    It waits for the end of a pipe that nobody else has, and knows nothing of our environment.
    """
    try:
        heir = subprocess.Popen(
            ["/bin/sh", "-c", _INHERIT, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            cwd="/",
            start_new_session=True,
        )
    except OSError:  # the next run removes it, then
        yield
        return
    with heir:
        try:
            yield
        finally:
            heir.kill()


def _create(base: Path) -> Scratch:
    while True:
        path = base / secrets.token_hex(4)
        try:
            path.mkdir(mode=0o700)
            lock = lock_file(path / _LOCK)
        except (FileExistsError, FileNotFoundError):
            continue  # taken, or another run took it for stale before it was locked
        if lock is None:
            continue
        if is_still(path / _LOCK, lock):
            return Scratch(path, lock)
        os.close(lock)


def is_still(path: Path, descriptor: int) -> bool:
    """Tell whether a path still names the file that is open."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_stale(base: Path) -> None:
    for path in base.iterdir():
        try:
            lock = lock_file(path / _LOCK)
        except OSError:
            continue  # not a directory of ours, or another run is just removing it
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)
