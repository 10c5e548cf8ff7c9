"""Child processes that can't outlive us: found on PATH, started under a parent-death signal, stopped in time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
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


class Group:
    """Children that end together: when one fails, the others have nothing to go on for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether they were told to end; who joins later is ended at once."""
        return self._stopped

    def join(self, process: subprocess.Popen[bytes], grace: float) -> None:
        """Take a child in."""
        with self._lock:
            self._running[process.pid] = (process, grace)
            late = self._stopped
        if late:
            _stop(process, grace)

    def leave(self, process: subprocess.Popen[bytes]) -> None:
        """Let a child go that has ended."""
        with self._lock:
            self._running.pop(process.pid, None)

    def stop(self) -> None:
        """End them all, from any thread; again, nothing happens."""
        with self._lock:
            self._stopped = True
            running = list(self._running.values())
        for process, grace in running:
            _stop(process, grace)


@contextmanager
def child(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    output: int | IO[bytes],
    grace: float,
    keep_open: Sequence[int] = (),
    group: Group | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in its own process group while the block runs; afterwards nothing of the group is left.

    Both its streams go to `output`. The kernel kills it when we die, SIGKILL included; that is tied to the
    thread that starts it, so call this from the main thread, or from one that lives as long. At the block's end,
    however it ends, the process group gets SIGTERM, and after `grace` seconds SIGKILL; `group.stop()` does it earlier.
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
        if group is not None:
            group.join(process, grace)
        yield process
    finally:
        _stop(process, grace)
        if group is not None:
            group.leave(process)
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
