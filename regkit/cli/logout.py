"""`regkit logout`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def logout(
    host: Annotated[str, typer.Argument(metavar="HOST", help="A registry; Docker Hub is docker.io.")],
) -> None:
    """Forget the login that Docker's configuration, or its credential helper, has for a registry."""
    from regkit.cli.output import safe
    from regkit.ops.login import logout as log_out
    from regkit.ops.login import parse_registry

    registry = parse_registry(host)
    erased, left = log_out(registry, env=os.environ)
    sys.stderr.write(safe(f"logged out of {registry}" if erased else f"there was no login for {registry}") + "\n")
    if left:
        sys.stderr.write(safe(f"warning: {registry} still gets the login from {left}") + "\n")
