"""`regkit registry serve`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from regkit.cli.options import globals_of
from regkit.cli.output import write_lines

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)


@app.callback()
def group() -> None:
    """Run the embedded registry, for development and tests."""


@app.command()
def serve(
    ctx: typer.Context,
    addr: Annotated[
        str, typer.Option(envvar="REGKIT_ADDR", metavar="HOST:PORT", help="Where it listens; port 0 takes a free one.")
    ] = "127.0.0.1:5000",
    directory: Annotated[
        str, typer.Option("--dir", envvar="REGKIT_DIR", metavar="DIR|memory", help="Where its content is kept.")
    ] = "memory",
) -> None:
    """Serve a registry until Ctrl-C; the access log goes to stderr."""
    from regkit.devregistry.app import DevRegistry
    from regkit.devregistry.directory import DirectoryStore
    from regkit.devregistry.server import running

    store = None if directory == "memory" else DirectoryStore(Path(directory))
    with (
        globals_of(ctx).reporter() as report,
        DevRegistry(store) as registry,
        running(registry, addr, report) as server,
        contextlib.suppress(KeyboardInterrupt),  # also one that comes right after the line that says we listen
    ):
        write_lines([f"listening on {server.url}"])
        sys.stdout.flush()
        server.wait()
