"""`regkit publish`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.configured import Configured
from regkit.cli.declared import DryRun
from regkit.cli.groups import with_groups
from regkit.cli.options import Format, globals_of, refuse_typed
from regkit.cli.output import telling
from regkit.cli.pages import page_again
from regkit.cli.render_tally import Tally
from regkit.cli.reports import Reports, read_reports
from regkit.cli.request import Request, read_request

if TYPE_CHECKING:
    from regkit.ops.plan import Plan
    from regkit.ops.planfile import SavedPlan
    from regkit.ops.result import PublishResult

_FREE = frozenset({"plan", "dry_run", "form", "metadata_file", "image_refs", "digest_file", "dotenv", "build_arg"}) | {
    *("builder", "cache_from", "cache_to", "secret", "load", "load_platform")
}
"""What may be said together with a plan."""

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command(cls=Configured)
@with_groups
def publish(
    ctx: typer.Context,
    *,
    request: Annotated[Request, read_request],
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            envvar="REGKIT_PLAN",
            metavar="FILE",
            help="Carry out a plan of `regkit plan --out`; refuse if a tag that it touches has moved since.",
        ),
    ] = None,
    dry_run: DryRun = False,
    form: Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")] = Format.text,
    reports: Annotated[Reports, read_reports],
) -> None:
    """Build CONTEXT for all platforms, push, verify, and tag in order: 1, 1.2, 1.2.3, latest."""
    saved = _saved(ctx, plan) if plan else None
    images = saved.images if saved else request.images
    tally = Tally()

    def tell(result: PublishResult) -> None:
        reports.tell(result, tally, os.environ, form)

    with telling(tell), globals_of(ctx).session(tally.note) as session:
        from regkit.ops.admission import admit
        from regkit.ops.tasks import ahead

        # The registries are asked while the rest of the command is loaded and the sources are read.
        admission = ahead(lambda: admit(session, images))

        from regkit.ops.publish import plan as make_plan
        from regkit.ops.publish import publish as carry_out

        own_files = (*reports.paths, *([plan] if plan else []))
        if saved is None:
            spec = request.spec(session, own_files)
        else:
            spec = saved.spec(
                session,
                os.environ,
                request.building["build_args"],
                own_files,
                means=request.building["means"],
                page=page_again(ctx),
                **request.load,
            )

        def approve(made: Plan) -> Plan:
            return made if saved is None else saved.approve(spec, made)

        if dry_run:
            from regkit.cli.render_plan import show_plan

            show_plan(approve(make_plan(session, spec, env=os.environ, admission=admission())), form)
            return
        result = carry_out(session, spec, env=os.environ, admission=admission, approve=approve)
    tell(result)


def _saved(ctx: typer.Context, path: Path) -> SavedPlan:
    """Read a plan; what it holds can't be said again on the command line."""
    from regkit.ops.planfile import SavedPlan

    held = {parameter.name for parameter in ctx.command.params if parameter.name} - _FREE
    refuse_typed(ctx, held, "a plan says all that is to be done", "make another plan: regkit plan --out FILE")
    return SavedPlan.read(path)
