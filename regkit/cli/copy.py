"""`regkit copy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.declared import Attesting, KeepOrStrip, read_as
from regkit.cli.options import Format, globals_of
from regkit.cli.output import human_size, telling, write_json, write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regkit.ops.copy import CopyResult

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def copy(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SRC", help="A reference, a layout or an archive.")],
    destination: Annotated[
        str, typer.Argument(metavar="DST", help="The same; a repository without a tag or digest is its 'latest'.")
    ],
    platform: Annotated[
        list[str] | None,
        typer.Option(
            envvar="REGKIT_COPY_PLATFORM",
            metavar="LIST",
            help="Only these, with their attestations; a new index is made.",
        ),
    ] = None,
    attestations: KeepOrStrip = Attesting.keep,
    referrers: Annotated[
        bool, typer.Option("--referrers", envvar="REGKIT_REFERRERS", help="Signatures and all else that refers to it.")
    ] = False,
    all_tags: Annotated[
        bool, typer.Option("--all-tags", "-a", envvar="REGKIT_ALL_TAGS", help="Every tag of SRC, under its own name.")
    ] = False,
    match: Annotated[
        str | None,
        typer.Option(
            envvar="REGKIT_COPY_MATCH",
            metavar="RE",
            help="Of all tags, only those that this expression matches as a whole.",
        ),
    ] = None,
    no_clobber: Annotated[
        bool, typer.Option("--no-clobber", "-n", envvar="REGKIT_NO_CLOBBER", help="Keep tags that exist.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force-recursive", envvar="REGKIT_FORCE_RECURSIVE", help="Ask for all content below tags that stand."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="REGKIT_DRY_RUN", help="Print what would be copied, change nothing.")
    ] = False,
    form: Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")] = Format.text,
) -> None:
    """Copy an image, an index or an artifact, byte for byte, from any place to any place.

    What is there isn't sent again; within a registry nothing is sent. Tags are written last.
    """
    from regkit.oci.platform import parse_platforms
    from regkit.ops.copy import CopySpec
    from regkit.ops.copy import copy as act
    from regkit.targets.location import Location

    spec = CopySpec(
        Location.parse(source),
        Location.parse(destination),
        parse_platforms(platform or ()),
        referrers=referrers,
        all_tags=all_tags,
        no_clobber=no_clobber,
        force=force,
        strip_attestations=attestations is Attesting.strip,
        match=None if match is None else _expression(match),
    )

    def tell(result: CopyResult) -> None:
        if form is Format.json:
            write_json({**result.to_json(), "dryRun": dry_run})
        else:
            write_lines(_plan(result) if dry_run else result.names)

    with telling(tell), globals_of(ctx).session() as session:
        result = act(session, spec, dry_run=dry_run)
    tell(result)


def _expression(match: str) -> str:
    from regkit.config.kinds import expression

    return read_as("--match", expression, match)


def _plan(result: CopyResult) -> Iterator[str]:
    for blob in result.blobs:
        yield f"blob      {blob.digest}  {human_size(blob.size)}"
    for manifest in result.manifests:
        yield f"manifest  {manifest.digest}" + (f"  {manifest.platform}" if manifest.platform else "")
    for outcome in result.outcomes:
        if outcome.kept:
            yield f"keep      {outcome.tag}: {outcome.kept}"
        elif outcome.tag:
            yield f"tag       {outcome.tag} -> {outcome.digest}"
