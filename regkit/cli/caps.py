"""`regkit caps`."""

from __future__ import annotations

from typing import Annotated

import typer

from regkit.cli.names import read_names
from regkit.cli.options import ListFormat, globals_of
from regkit.cli.output import table, write_documents, write_lines

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def caps(
    ctx: typer.Context,
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="HOST|REPOSITORY...", help="A repository with content shows more; '-' reads from stdin."
        ),
    ],
    form: Annotated[ListFormat, typer.Option("--format", envvar="REGKIT_FORMAT")] = ListFormat.text,
) -> None:
    """Find out what a registry can do, without writing anything.

    What can't be known without writing, or with these credentials, is `unknown`.
    """
    from regkit.oci.reference import parse_place
    from regkit.ops.caps import caps as look

    parsed = [parse_place(text) for text in read_names(places)]
    with globals_of(ctx).session() as session:
        found = [look(session, host, reference) for host, reference in parsed]
    if form is not ListFormat.text:
        write_documents([each.to_json() for each in found], form)
        return
    for number, each in enumerate(found):
        lines = table([(name, answer, detail) for name, answer, detail in each.found])
        write_lines([*([""] if number else []), each.repository or each.host, *(f"  {line}" for line in lines)])
