"""The command `regkit`: starts fast, so nothing is imported here that `--version` doesn't need."""

from __future__ import annotations

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


if __name__ == "__main__":
    sys.exit(main())
