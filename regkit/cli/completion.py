"""`regkit completion`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from regkit.cli.completing import Shell, script

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")]) -> None:
    """Print the script with which a shell completes commands, options and their values; it asks no registry."""
    sys.stdout.write(script(shell))
