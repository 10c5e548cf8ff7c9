"""`regkit init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regkit.cli.options import globals_of
from regkit.cli.output import write_lines

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def init(
    ctx: typer.Context,
    context: Annotated[Path, typer.Argument(metavar="CONTEXT", help="The directory that will be built.")] = Path(),
    image: Annotated[
        str | None,
        typer.Option(envvar="REGKIT_IMAGE", metavar="NAME", help="The repository; by default git's remote tells it."),
    ] = None,
    file: Annotated[Path | None, typer.Option(envvar="REGKIT_FILE", help="The Dockerfile.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="REGKIT_DRY_RUN", help="Print the file, write nothing.")
    ] = False,
) -> None:
    """Write a first regkit.toml here, from the Dockerfile and git. One that is there is never overwritten."""
    from regkit.ops.init import look, starter, write

    target = globals_of(ctx).config_file or Path("regkit.toml")
    text = starter(look(context, target.parent, image=image, file=file))
    if dry_run:
        write_lines(text.splitlines())
        return
    write(target, text)
    write_lines([str(target)])
