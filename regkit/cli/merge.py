"""`regkit merge`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.configured import Configured
from regkit.cli.declared import DryRun, Images
from regkit.cli.groups import with_groups
from regkit.cli.options import Format, globals_of
from regkit.cli.output import telling
from regkit.cli.pages import ReadPage, read_page
from regkit.cli.releasing import Release, read_release
from regkit.cli.render_tally import Tally
from regkit.cli.reports import Reports, read_reports

if TYPE_CHECKING:
    from regkit.ops.result import PublishResult

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command(cls=Configured)
@with_groups
def merge(
    ctx: typer.Context,
    reference: Annotated[
        list[str] | None,
        typer.Argument(metavar="REF...", help="Platform tags, digests, layouts, archives; '-' reads them from stdin."),
    ] = None,
    image: Images = None,
    digest_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="REGKIT_DIGEST_DIR", metavar="DIR", help="What `regkit build --digest-dir` wrote, of all jobs."
        ),
    ] = None,
    expect_platforms: Annotated[
        list[str] | None,
        typer.Option(
            envvar=["REGKIT_EXPECT_PLATFORMS", "DOCKER_PLATFORMS"],
            metavar="LIST",
            help="Exactly these have to be there, else nothing is tagged; in this order they are listed.",
        ),
    ] = None,
    *,
    release: Annotated[Release, read_release],
    page: Annotated[ReadPage, read_page],
    dry_run: DryRun = False,
    form: Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")] = Format.text,
    reports: Annotated[Reports, read_reports],
) -> None:
    """Make one release of images that were built apart: complete, then tagged as publish does it; else nothing is."""
    from regkit.cli.names import read_names
    from regkit.oci.platform import parse_platforms
    from regkit.ops.merge import read_parts
    from regkit.ops.publish import plan as make_plan
    from regkit.ops.publish import publish as carry_out
    from regkit.ops.request import parse_images, publish_spec

    images = parse_images(image or ())
    expected = parse_platforms(expect_platforms or ())
    sources = tuple(read_names(reference or []))
    tally = Tally()

    def tell(result: PublishResult) -> None:
        reports.tell(result, tally, os.environ, form)

    with telling(tell), globals_of(ctx).session(tally.note) as session:
        content, release["commit"] = read_parts(
            session,
            images,
            env=os.environ,
            digest_dir=digest_dir,
            sources=sources,
            expected=expected,
            commit=release["commit"],
        )
        spec = publish_spec(
            [each.name for each in images],
            env=os.environ,
            session=session,
            content=content,
            page=page(images),
            **release,
        )
        if dry_run:
            from regkit.cli.render_plan import show_plan

            show_plan(make_plan(session, spec), form)
            return
        result = carry_out(session, spec, env=os.environ)
    tell(result)
