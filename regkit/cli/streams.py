"""The process's own streams: those that are closed, and a stdout that takes nothing any more."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from regkit.errors import RegkitError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def prepare() -> None:
    """Make all three streams usable; call it before anything is opened."""
    missing = os.open(os.devnull, os.O_RDWR)
    while missing <= 2:  # lest a connection gets the number of a stream that was closed
        missing = os.open(os.devnull, os.O_RDWR)
    os.close(missing)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - it is open as long as the process
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - the same
    given = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - the same
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Stdout(1, "w", closefd=False)),
        encoding=given.encoding,
        errors=given.errors,
        line_buffering=given.isatty(),
    )


def flush(code: int) -> int:
    """Write what is left; give the exit code, 1 where that can't be done and all went well until then."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except RegkitError as error:
        if not code:  # else what went wrong has been told, perhaps this very thing
            sys.stderr.write(f"regkit: error: {error.message}\n")
        return code or error.exit_code
    except OSError:  # who read our output has gone
        return code or 1
    return code


class _Stdout(io.FileIO):
    """The file behind stdout."""

    def write(self, data: ReadableBuffer) -> int:
        """Write; a reader that has gone stays a BrokenPipeError, all else that goes wrong is a RegkitError."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise RegkitError(f"the result can't be written to stdout: {error.strerror}") from None
