"""Child processes that can't outlive us: found on PATH, started under a parent-death signal, stopped in time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_KILL_WAIT = 5.0


def find_tool(name: str, env: Mapping[str, str]) -> str | None:
    """Find a program on `env`'s PATH; busybox's namesakes don't count, they lack the options that are needed."""
    found = shutil.which(name, path=env.get("PATH", os.defpath))
    if found is None or Path(found).resolve().name == "busybox":
        return None
    return found


def guard(env: Mapping[str, str]) -> tuple[str, ...]:
    """Give the words that put a command under a parent-death signal; none where `setpriv` is missing."""
    setpriv = find_tool("setpriv", env)
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()


@contextmanager
def child(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    output: int | IO[bytes],
    grace: float,
    keep_open: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in its own process group while the block runs; afterwards nothing of the group is left.

    Both its streams go to `output`. The kernel kills it when we die, SIGKILL included; that is tied to the
    thread that starts it, so call this from the main thread. At the block's end, however it ends, the group
    gets SIGTERM, and after `grace` seconds SIGKILL.
    """
    process = subprocess.Popen(
        [*guard(env), *argv],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=tuple(keep_open),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _stop(process, grace)
        if process.stdout is not None:
            process.stdout.close()


def _stop(process: subprocess.Popen[bytes], grace: float) -> None:
    for number, limit in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILL_WAIT)):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(limit)
