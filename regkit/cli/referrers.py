"""`regkit referrers`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from regkit.cli.names import read_names
from regkit.cli.options import globals_of
from regkit.cli.output import fitting, human_size, write_documents, write_json_lines, write_lines

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


class View(StrEnum):
    """How referrers are written."""

    table = "table"
    json = "json"
    jsonl = "jsonl"


@app.command()
def referrers(
    ctx: typer.Context,
    refs: Annotated[list[str], typer.Argument(metavar="REF...", help="References; '-' reads them from stdin.")],
    artifact_type: Annotated[
        str | None, typer.Option("--artifact-type", envvar="REGKIT_ARTIFACT_TYPE", help="Only those of this type.")
    ] = None,
    platform: Annotated[
        str | None, typer.Option(envvar="REGKIT_ONE_PLATFORM", help="The image for this platform.")
    ] = None,
    view: Annotated[View, typer.Option("--format", envvar="REGKIT_FORMAT", help="How it is shown.")] = View.table,
) -> None:
    """List what refers to an image: signatures, SBOMs, whatever was attached to it."""
    from regkit.oci.platform import Platform
    from regkit.ops.inspect import list_referrers
    from regkit.ops.resolve import at_digest
    from regkit.targets.location import Location

    locations = [Location.parse(text) for text in read_names(refs)]
    wanted = Platform.parse(platform) if platform else None
    with globals_of(ctx).session() as session:
        found = [(each, *list_referrers(session, each, wanted, artifact_type)) for each in locations]
    if view is not View.table:
        subjects = [(at_digest(place, digest), [each.to_json() for each in listed]) for place, digest, listed in found]
        if view is View.jsonl:
            write_json_lines({"schema": 1, "name": name, **each} for name, listed in subjects for each in listed)
        else:
            write_documents([{"schema": 1, "name": name, "referrers": listed} for name, listed in subjects], view)
        return
    rows = [("ARTIFACT TYPE", "DIGEST", "SIZE")]
    rows += [
        (each.artifact_type or "-", each.digest, human_size(each.size)) for _, _, listed in found for each in listed
    ]
    write_lines(fitting(rows))
