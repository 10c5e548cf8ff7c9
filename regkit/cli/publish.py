"""`regkit publish`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regkit.cli.options import Format, globals_of, lines_of
from regkit.cli.output import write_json, write_lines

if TYPE_CHECKING:
    from regkit.ops.plan import Plan
    from regkit.ops.publish import PublishResult

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


class Intermediate(StrEnum):
    """How platform images are named on the way."""

    digest = "digest"
    tag = "tag"


@app.command()
def publish(
    ctx: typer.Context,
    image: Annotated[
        list[str], typer.Option(envvar="REGKIT_IMAGE", metavar="NAME", help="The repository to publish to.")
    ],
    context: Annotated[Path, typer.Argument(metavar="CONTEXT", help="The directory that is built.")] = Path(),
    platform: Annotated[
        list[str] | None,
        typer.Option(
            envvar=["REGKIT_PLATFORM", "DOCKER_PLATFORMS"],
            metavar="LIST",
            help="os/arch[/variant], comma-separated or repeated; the builder's own by default.",
        ),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            envvar="REGKIT_VERSION",
            metavar="REF",
            help="v1.2.3, 1.2.3, refs/tags/v1.2.3 or a branch; by default what CI or git say.",
        ),
    ] = None,
    commit: Annotated[
        str | None, typer.Option(envvar="REGKIT_COMMIT", metavar="SHA", help="By default what CI or git say.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("-t", "--tag", envvar="REGKIT_TAG", help="Instead of the version's tags, in this order."),
    ] = None,
    file: Annotated[Path | None, typer.Option(envvar="REGKIT_FILE", help="The Dockerfile.")] = None,
    target: Annotated[str, typer.Option(envvar="REGKIT_TARGET", help="The stage to build.")] = "",
    build_arg: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY[=VALUE]", help="Repeatable; REGKIT_BUILD_ARG holds one a line."),
    ] = None,
    annotation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="An annotation of the index; repeatable; REGKIT_ANNOTATION holds one a line.",
        ),
    ] = None,
    intermediate: Annotated[
        Intermediate,
        typer.Option(envvar="REGKIT_INTERMEDIATE", help="How platform images are named on the way."),
    ] = Intermediate.digest,
    keep_intermediate: Annotated[
        bool, typer.Option("--keep-intermediate", envvar="REGKIT_KEEP_INTERMEDIATE", help="Leave their tags.")
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", envvar="REGKIT_REBUILD", help="Build even if this very source is published."),
    ] = False,
    immutable: Annotated[
        bool,
        typer.Option(
            "--immutable/--no-immutable",
            envvar="REGKIT_IMMUTABLE",
            help="Refuse, or replace, an exact version with other content.",
        ),
    ] = True,
    allow_downgrade: Annotated[
        bool,
        typer.Option(
            "--allow-downgrade", envvar="REGKIT_ALLOW_DOWNGRADE", help="Move aliases to a lower version, too."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="REGKIT_DRY_RUN", help="Print the plan, change nothing.")
    ] = False,
    form: Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")] = Format.text,
    metadata_file: Annotated[
        Path | None, typer.Option(envvar="REGKIT_METADATA_FILE", help="Write the result there, with buildx's keys.")
    ] = None,
    layout: Annotated[
        Path | None,
        typer.Option("--from", envvar="REGKIT_FROM", metavar="LAYOUT", help="An OCI layout, built already."),
    ] = None,
) -> None:
    """Build CONTEXT for all platforms, push, verify, and tag in order: 1, 1.2, 1.2.3, latest."""
    from regkit.errors import UsageError
    from regkit.oci.reference import Reference

    if len(image) > 1:
        raise UsageError("publish writes to one repository at a time", hint="run it once for each --image")
    reference = Reference.parse_name(image[0])
    with globals_of(ctx).session() as session:
        from regkit.ops.tasks import ahead
        from regkit.targets.repository import Repository

        # The registry is asked while the rest of the command is loaded and the sources are read.
        admitted = ahead(Repository(session, reference).admit)

        from regkit.ops.publish import plan
        from regkit.ops.publish import publish as carry_out
        from regkit.ops.request import publish_spec

        spec = publish_spec(
            image[0],
            context,
            env=os.environ,
            layout=layout,
            platforms=platform or (),
            version=version,
            commit=commit,
            tags=tag or (),
            file=file,
            target=target,
            build_args=build_arg or lines_of("REGKIT_BUILD_ARG"),
            annotations=annotation or lines_of("REGKIT_ANNOTATION"),
            intermediate=intermediate.value,
            keep_intermediates=keep_intermediate,
            rebuild=rebuild,
            immutable=immutable,
            allow_downgrade=allow_downgrade,
        )
        if dry_run:
            _show_plan(plan(session, spec, tags=admitted()), form)
            return
        result = carry_out(session, spec, env=os.environ, tags=admitted)
    if metadata_file is not None:
        metadata_file.write_text(json.dumps(_metadata(result), indent=2) + "\n", encoding="utf-8")
    if form is Format.json:
        write_json(result.to_json())
    else:
        write_lines([str(result)])
    if result.unfinished is not None:
        raise result.unfinished


def _show_plan(plan: Plan, form: Format) -> None:
    if form is Format.json:
        write_json(plan.to_json())
    else:
        write_lines(_describe(plan))


def _describe(plan: Plan) -> Iterator[str]:
    yield f"image      {plan.image.name}"
    yield f"platforms  {', '.join(map(str, plan.platforms))}"
    yield f"build      {'no' if plan.reuse else 'yes'}: {plan.reason}"
    for key, value in plan.annotations.items():
        yield f"annotate   {key}={value}"
    for name in plan.intermediates.values():
        yield f"on the way {name}"
    for decision in plan.tags:
        standing = plan.standing.get(decision.tag)
        yield f"{'tag' if decision.moves else 'keep':10} {decision.tag}: {decision.reason}" + (
            f" (stands on {standing.short})" if standing else ""
        )


def _metadata(result: PublishResult) -> dict[str, Any]:
    return {
        "containerimage.digest": result.index.digest,
        "containerimage.descriptor": result.index.to_json(),
        "image.name": ",".join(f"{result.image.name}:{tag}" for tag in result.tags),
        "regkit": result.to_json(),
    }
