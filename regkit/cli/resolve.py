"""`regkit resolve`."""

from __future__ import annotations

from typing import Annotated

import typer

from regkit.cli.names import read_names
from regkit.cli.options import ListFormat, globals_of
from regkit.cli.output import write_lines, write_list

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def resolve(
    ctx: typer.Context,
    refs: Annotated[list[str], typer.Argument(metavar="REF...", help="References; '-' reads them from stdin.")],
    platform: Annotated[
        str | None, typer.Option(envvar="REGKIT_ONE_PLATFORM", help="The image for this platform.")
    ] = None,
    form: Annotated[ListFormat, typer.Option("--format", envvar="REGKIT_FORMAT")] = ListFormat.text,
) -> None:
    """Tell which digest a name stands for: NAME@sha256:..., a line each."""
    from regkit.oci.platform import Platform
    from regkit.ops.resolve import at_digest
    from regkit.ops.resolve import resolve as look
    from regkit.ops.tasks import each
    from regkit.targets.location import Location

    locations = [Location.parse(text) for text in read_names(refs)]
    wanted = Platform.parse(platform) if platform else None
    with globals_of(ctx).session() as session:
        found = each(lambda location: look(session, location, wanted), locations)
    names = [at_digest(location, there.digest) for location, there in zip(locations, found, strict=True)]
    results = [{"name": name, **there.to_json()} for name, there in zip(names, found, strict=True)]
    if form is not ListFormat.text:
        write_list("results", results, form)
    else:
        write_lines(names)
