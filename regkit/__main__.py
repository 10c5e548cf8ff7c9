"""The command `regkit`: starts fast, so nothing is imported here that `--version` doesn't need; and ends fast."""

from __future__ import annotations

import gc
import os
import sys


def main() -> int:
    """Run the command line; give the exit code."""
    if sys.argv[1:] == ["--version"]:
        from regkit import __version__

        sys.stdout.write(f"regkit {__version__}\n")
        return 0
    try:
        from regkit.cli.app import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:  # while it still loads: the command line has its own way, with what it has to clean up
        sys.stderr.write("regkit: interrupted\n")
        return 130


def command() -> None:
    """Run the command line and end the process at once: taking the interpreter apart takes 30 ms and frees nothing."""
    gc.set_threshold(100_000, 50, 50)  # what a start makes stays: looking through it again and again takes 10 ms
    sys.setswitchinterval(0.05)  # threads that wait for a network give way by themselves
    from regkit.cli.streams import flush, prepare

    prepare()
    os._exit(flush(main()))


if __name__ == "__main__":
    command()
