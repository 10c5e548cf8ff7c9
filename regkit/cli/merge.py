"""`regkit merge`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from regkit.cli.configured import Configured
from regkit.cli.declared import (
    AllowDowngrade,
    Annotations,
    Commit,
    DigestFile,
    Dotenv,
    ImageRefs,
    Images,
    Immutable,
    MetadataFile,
    NoAliases,
    Tags,
    Version,
    ZeroMajor,
)
from regkit.cli.looking import Attesting, KeepOrStrip
from regkit.cli.options import Format, globals_of, lines_of
from regkit.cli.output import write_json, write_lines
from regkit.cli.render_tally import Tally
from regkit.cli.reports import Reports

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command(cls=Configured)
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
    version: Version = None,
    commit: Commit = None,
    tag: Tags = None,
    annotation: Annotations = None,
    attestations: KeepOrStrip = Attesting.keep,
    immutable: Immutable = True,
    allow_downgrade: AllowDowngrade = False,
    no_aliases: NoAliases = False,
    zero_major: ZeroMajor = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="REGKIT_DRY_RUN", help="Print the plan, change nothing.")
    ] = False,
    form: Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")] = Format.text,
    metadata_file: MetadataFile = None,
    image_refs: ImageRefs = None,
    digest_file: DigestFile = None,
    dotenv: Dotenv = None,
) -> None:
    """Make one release of images that were built apart: complete, then tagged as publish does it; else nothing is."""
    from regkit.cli.inspect import read_names
    from regkit.oci.platform import parse_platforms
    from regkit.ops.merge import read_parts
    from regkit.ops.publish import plan as make_plan
    from regkit.ops.publish import publish as carry_out
    from regkit.ops.request import parse_images, publish_spec

    reports = Reports(metadata_file, image_refs, digest_file, dotenv)
    reports.check()
    images = parse_images(image or ())
    expected = parse_platforms(expect_platforms or ())
    sources = tuple(read_names(reference or []))
    tally = Tally()
    with globals_of(ctx).session(tally.note) as session:
        content, its_commit = read_parts(
            session,
            images,
            env=os.environ,
            digest_dir=digest_dir,
            sources=sources,
            expected=expected,
            commit=commit,
        )
        spec = publish_spec(
            [each.name for each in images],
            env=os.environ,
            session=session,
            content=content,
            version=version,
            commit=its_commit,
            tags=tag or (),
            annotations=annotation or lines_of("REGKIT_ANNOTATION"),
            immutable=immutable,
            allow_downgrade=allow_downgrade,
            aliases=not no_aliases,
            zero_major=zero_major,
            strip_attestations=attestations is Attesting.strip,
        )
        if dry_run:
            from regkit.cli.plan import show_plan

            show_plan(make_plan(session, spec), form)
            return
        result = carry_out(session, spec, env=os.environ)
    reports.write(result, tally, os.environ)
    if form is Format.json:
        write_json(result.to_json())
    else:
        write_lines(result.names)
    if result.unfinished is not None:
        raise result.unfinished
