"""The command `regkit` in processes that needn't load it first: for tests that run it a hundred times, and kill it."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.support.command import clean_environment

PROCESSES = multiprocessing.get_context("forkserver")
"""Its processes come from one that has no threads, and has loaded what a publish needs."""

PROCESSES.set_forkserver_preload(
    ["regkit.cli.app", "regkit.cli.publish", "regkit.ops.publish", "regkit.build.buildctl", "regkit.transport.http"]
)


@contextmanager
def swiftly(*args: str | Path, home: Path, said: Path, env: Mapping[str, str] | None = None) -> Iterator[BaseProcess]:
    """Run `regkit` as `started` does; what it says, on both its streams, goes to the file `said`."""
    process = PROCESSES.Process(
        target=_run, args=([str(arg) for arg in args], clean_environment(home, env), said), daemon=True
    )
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _run(args: list[str], env: dict[str, str], said: Path) -> None:
    from regkit.cli.app import run

    os.environ.clear()
    os.environ.update(env)
    os.chdir(env["HOME"])
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    code = run(args)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
