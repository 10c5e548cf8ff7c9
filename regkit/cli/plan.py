"""`regkit plan`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from regkit.cli.configured import Configured
from regkit.cli.groups import with_groups
from regkit.cli.options import PENDING, Format, globals_of
from regkit.cli.render_plan import show_plan
from regkit.cli.reports import Reports, write_file
from regkit.cli.request import Request, read_request

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command(cls=Configured)
@with_groups
def plan(
    ctx: typer.Context,
    *,
    request: Annotated[Request, read_request],
    out: Annotated[
        Path | None, typer.Option(envvar="REGKIT_OUT", metavar="FILE", help="Keep it, for publish --plan FILE.")
    ] = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option(
            "--detailed-exitcode", envvar="REGKIT_DETAILED_EXITCODE", help="End with 3 if it changes anything."
        ),
    ] = False,
    form: Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")] = Format.text,
) -> None:
    """Show what `publish` with the same options would do, with a reason a line; nothing is changed."""
    reports = Reports(metadata=out)
    reports.check()
    images = request.images
    with globals_of(ctx).session() as session:
        from regkit.ops.admission import admit
        from regkit.ops.tasks import ahead

        admission = ahead(lambda: admit(session, images))

        from regkit.ops.planfile import plan_document
        from regkit.ops.publish import plan as make_plan

        spec = request.spec(session, reports.paths)
        made = make_plan(session, spec, env=os.environ, admission=admission())
        if made.index is not None:
            made.check_immutable(made.index)
    if out is not None:
        write_file(out, json.dumps(plan_document(spec, made), indent=2) + "\n")
    show_plan(made, form)
    if detailed_exitcode and made.pending:
        raise typer.Exit(PENDING)
