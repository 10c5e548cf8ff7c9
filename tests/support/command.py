"""The real commands, regkit and its peers, run as a user runs them: with a home and a PATH, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

LIMIT = 120.0
"""After how many seconds a command is taken for hung."""

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


def clean_environment(home: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give an environment without a CI, a builder or credentials, in which `regkit` is ours; `env` is added to it."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "HOME": str(home), **(env or {})}


def regkit(
    *args: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None, home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `regkit`; without `home`, in an empty one. What it wrote is decoded, and otherwise untouched."""
    with ExitStack() as stack:
        home = home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        argv = [sys.executable, "-m", "regkit", *map(str, args)]
        return _run(argv, clean_environment(home, env), cwd or home)


@contextmanager
def started(
    *args: str | Path,
    home: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `regkit` in a session of its own; it is killed at the end of the block, if it still runs."""
    argv = [sys.executable, "-m", "regkit", *map(str, args)]
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=clean_environment(home, env),
        cwd=cwd or home,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def peer(*argv: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run another tool, in an empty home."""
    with tempfile.TemporaryDirectory() as home:
        return _run(list(map(str, argv)), clean_environment(Path(home), env), Path(home))


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    """Give what a command that ended well wrote to stdout; an AssertionError with all it said for another."""
    assert done.returncode == 0, f"{done.args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def clone(origin: Path, directory: Path) -> Path:
    """Clone a git repository, as a CI system does."""
    git(origin, "clone", "--quiet", str(origin), str(directory))
    return directory


def commit(directory: Path, tag: str | None = None) -> str:
    """Commit all that is in a clone, tag it, and give the commit."""
    git(directory, "add", "--all", "--force")
    git(directory, "commit", "--quiet", "--message", "Hello")
    if tag is not None:
        git(directory, "tag", tag)
    return git(directory, "rev-parse", "HEAD")


def git(directory: Path, *arguments: str) -> str:
    """Run git in a directory, without the user's configuration."""
    who = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com"}
    who |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in who.items()}
    env = clean_environment(directory, {**who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"})
    done = subprocess.run(["git", "-C", directory, *arguments], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout.strip()


def fails(*arguments: str, code: int, env: dict[str, str] | None = None) -> str:
    """Run a command that must fail so: nothing on stdout, and no traceback; give what it said."""
    done = regkit(*arguments, env=env)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def piped(*arguments: str | Path, given: bytes, home: Path) -> subprocess.CompletedProcess[bytes]:
    """Run `regkit` with something on its stdin; what it wrote stays bytes."""
    argv = [sys.executable, "-m", "regkit", *map(str, arguments)]
    return subprocess.run(
        argv, input=given, capture_output=True, check=False, env=clean_environment(home), timeout=LIMIT
    )


def _run(argv: list[str], env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False
    )
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())
