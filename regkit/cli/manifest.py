"""`regkit manifest get|head|put|rm`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.confirm import confirm
from regkit.cli.names import read_names
from regkit.cli.options import Format, globals_of
from regkit.cli.output import write_json, write_lines

if TYPE_CHECKING:
    from regkit.ops.content import Deletion

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)

Refs = Annotated[list[str], typer.Argument(metavar="REF...", help="References; '-' reads them from stdin.")]
Wanted = Annotated[str | None, typer.Option(envvar="REGKIT_ONE_PLATFORM", help="The image for this platform.")]


@app.command()
def get(ctx: typer.Context, refs: Refs, platform: Wanted = None) -> None:
    """Write a manifest's bytes, untouched."""
    from regkit.oci.platform import Platform
    from regkit.ops.inspect import read_manifest
    from regkit.targets.location import Location

    locations = [Location.parse(text) for text in read_names(refs)]
    wanted = Platform.parse(platform) if platform else None
    with globals_of(ctx).session() as session:
        for location in locations:
            sys.stdout.buffer.write(read_manifest(session, location, wanted).raw)


@app.command()
def head(ctx: typer.Context, refs: Refs, platform: Wanted = None) -> None:
    """Write the descriptor of a manifest as JSON: media type, digest, size. Costs no pull."""
    from regkit.oci.platform import Platform
    from regkit.ops.resolve import resolve
    from regkit.targets.location import Location

    locations = [Location.parse(text) for text in read_names(refs)]
    wanted = Platform.parse(platform) if platform else None
    with globals_of(ctx).session() as session:
        found = [resolve(session, location, wanted).to_json() for location in locations]
    write_json(found[0] if len(found) == 1 else found)


@app.command()
def put(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(metavar="REF", help="Where to; without a tag it is put by its digest alone.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE|-", exists=True, dir_okay=False, allow_dash=True, help="The document.")
    ],
    media_type: Annotated[
        str | None, typer.Option(envvar="REGKIT_MANIFEST_TYPE", help="Its media type, where it doesn't say so itself.")
    ] = None,
) -> None:
    """Put a manifest's bytes there, untouched; its digest is printed."""
    from regkit.errors import UsageError
    from regkit.oci.manifest import MAX_SIZE
    from regkit.ops.content import put_manifest, read_document
    from regkit.targets.location import Location

    location = Location.parse(ref)
    try:
        with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as stream:
            raw = stream.read(MAX_SIZE + 1)
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from None
    if len(raw) > MAX_SIZE:
        raise UsageError(f"{file} is larger than the {MAX_SIZE} bytes of a manifest")
    manifest = read_document(raw, media_type)
    with globals_of(ctx).session() as session:
        digest = put_manifest(session, location, manifest)
    write_lines([digest])


@app.command("rm")
def remove(
    ctx: typer.Context,
    refs: Annotated[
        list[str], typer.Argument(metavar="REF@DIGEST...", help="References with a digest; '-' reads from stdin.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="REGKIT_DRY_RUN", help="Print what would be removed, change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", envvar="REGKIT_YES", help="Don't ask.")] = False,
    form: Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")] = Format.text,
) -> None:
    """Delete manifests, and with each every tag that stands on it. For a tag alone there is `tag rm`."""
    from regkit.ops.content import delete_manifests, plan_deletion
    from regkit.targets.location import Location

    locations = [Location.parse(text) for text in read_names(refs)]
    with globals_of(ctx).session() as session:
        deletions = plan_deletion(session, locations)
        lines = [line for deletion in deletions for line in _describe(deletion)]
        if not dry_run:
            if not yes:
                confirm(lines, "deleting manifests", "Delete them?", report=session.report)
            delete_manifests(session, deletions)
    if form is Format.json:
        write_json({"schema": 1, "dryRun": dry_run, "removed": [_to_json(deletion) for deletion in deletions]})
    elif dry_run:
        write_lines(lines)


def _to_json(deletion: Deletion) -> dict[str, object]:
    found = deletion.descriptor
    return {
        "name": str(deletion.location),
        "mediaType": found.media_type if found else None,
        "tags": list(deletion.tags),
        "breaks": list(deletion.parents),
    }


def _describe(deletion: Deletion) -> Iterator[str]:
    if deletion.descriptor is None:
        yield f"remove {deletion.location} (not there)"
        return
    yield f"remove {deletion.location} ({deletion.descriptor.media_type})"
    for tag in deletion.tags:
        yield f"  with the tag {tag}"
    for tag in deletion.parents:
        yield f"  BREAKS {tag}, an index that lists it"
