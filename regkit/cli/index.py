"""`regkit index create|append|remove|annotate`."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.options import Format, globals_of, lines_of
from regkit.cli.output import telling, write_json, write_lines

if TYPE_CHECKING:
    from regkit.ops.index import IndexResult, IndexSpec
    from regkit.ops.index_source import IndexSource

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)


class Kind(StrEnum):
    """What an index calls itself."""

    oci = "oci"
    docker = "docker"


Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SRC...",
        help="Images or indexes, from anywhere: REF[,platform=OS/ARCH[/VARIANT]][,os.version=V]; '-' reads from stdin.",
    ),
]
Ref = Annotated[str, typer.Argument(metavar="REF", help="The index that is changed; its tag moves to the result.")]
Tags = Annotated[
    list[str] | None, typer.Option("-t", "--tag", metavar="TAG", help="More tags, in the order they are written.")
]
Annotations = Annotated[
    list[str] | None,
    typer.Option(
        "--annotation",
        metavar="[LEVEL:]KEY=VALUE",
        help="At the level index: (the default), manifest-descriptor[PLATFORM]: or index-descriptor:; repeatable.",
    ),
]
MediaType = Annotated[
    Kind | None, typer.Option(envvar="REGKIT_MEDIA_TYPE", help="Default: docker where all is Docker's, else oci.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", envvar="REGKIT_DRY_RUN", help="Print the index, byte for byte; write nothing.")
]
Form = Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")]


@app.command()
def create(
    ctx: typer.Context,
    destination: Annotated[
        str, typer.Argument(metavar="DST", help="Where the index goes; without a tag, and without --tag, 'latest'.")
    ],
    sources: Sources,
    tag: Tags = None,
    annotation: Annotations = None,
    media_type: MediaType = None,
    inherit: Annotated[
        bool,
        typer.Option(
            "--inherit/--no-inherit",
            envvar="REGKIT_INHERIT",
            help="Take over the annotations that all sources, being indexes, have alike.",
        ),
    ] = True,
    dry_run: DryRun = False,
    form: Form = Format.text,
) -> None:
    """Make an index of what is there. Indexes are opened, attestations stay with their images."""
    from regkit.ops.index import create_index

    spec = _spec(destination, tag, annotation, media_type, dry_run=dry_run)
    parsed = _sources(sources)
    with _telling(form), globals_of(ctx).session() as session:
        result = create_index(session, spec, parsed, inherit=inherit)
    _show(result, form, dry_run=dry_run)


@app.command()
def append(
    ctx: typer.Context,
    ref: Ref,
    sources: Sources,
    replace: Annotated[
        bool, typer.Option("--replace", envvar="REGKIT_REPLACE", help="Take the new image where the platform is there.")
    ] = False,
    tag: Tags = None,
    annotation: Annotations = None,
    media_type: MediaType = None,
    dry_run: DryRun = False,
    form: Form = Format.text,
) -> None:
    """Add images to an index. A platform that it has already is refused, or replaced."""
    from regkit.ops.index import append_to_index

    spec = _spec(ref, tag, annotation, media_type, dry_run=dry_run)
    parsed = _sources(sources)
    with _telling(form), globals_of(ctx).session() as session:
        result = append_to_index(session, spec, parsed, replacing=replace)
    _show(result, form, dry_run=dry_run)


@app.command()
def remove(
    ctx: typer.Context,
    ref: Ref,
    platform: Annotated[
        list[str] | None, typer.Option(envvar="REGKIT_REMOVE_PLATFORM", metavar="LIST", help="The images for these.")
    ] = None,
    digest: Annotated[list[str] | None, typer.Option(help="The entry with this digest; repeatable.")] = None,
    tag: Tags = None,
    annotation: Annotations = None,
    media_type: MediaType = None,
    dry_run: DryRun = False,
    form: Form = Format.text,
) -> None:
    """Take images out of an index, with what attests them. They are unlisted, not deleted."""
    from regkit.oci.digest import Digest
    from regkit.oci.platform import parse_platforms
    from regkit.ops.index import remove_from_index

    spec = _spec(ref, tag, annotation, media_type, dry_run=dry_run)
    platforms, digests = parse_platforms(platform or ()), tuple(Digest(text) for text in digest or ())
    with _telling(form), globals_of(ctx).session() as session:
        result = remove_from_index(session, spec, platforms=platforms, digests=digests)
    _show(result, form, dry_run=dry_run)


@app.command()
def annotate(
    ctx: typer.Context,
    ref: Ref,
    annotation: Annotations = None,
    media_type: MediaType = None,
    tag: Tags = None,
    dry_run: DryRun = False,
    form: Form = Format.text,
) -> None:
    """Set annotations of an index, and of what it says of its images."""
    from regkit.ops.index import annotate_index

    spec = _spec(ref, tag, annotation, media_type, dry_run=dry_run)
    with _telling(form), globals_of(ctx).session() as session:
        result = annotate_index(session, spec)
    _show(result, form, dry_run=dry_run)


def _spec(
    target: str, tags: list[str] | None, annotations: list[str] | None, kind: Kind | None, *, dry_run: bool
) -> IndexSpec:
    from regkit.oci.annotation import parse_levels
    from regkit.ops.index import MEDIA_TYPES, IndexSpec
    from regkit.targets.location import Location

    return IndexSpec(
        Location.parse(target),
        tuple(tags or ()),
        parse_levels(annotations or lines_of("REGKIT_ANNOTATION")),
        MEDIA_TYPES[kind.value] if kind else None,
        dry_run=dry_run,
    )


def _sources(texts: list[str]) -> list[IndexSource]:
    from regkit.cli.names import read_names
    from regkit.ops.index_source import IndexSource

    return [IndexSource.parse(text) for text in read_names(texts)]


def _telling(form: Format) -> AbstractContextManager[None]:
    """Show the index that stands under some of its tags, where the others couldn't be written."""
    return telling(lambda result: _show(result, form, dry_run=False))


def _show(result: IndexResult, form: Format, *, dry_run: bool) -> None:
    if form is Format.json:
        write_json({**result.to_json(), "dryRun": dry_run})
    elif dry_run:
        sys.stdout.flush()
        sys.stdout.buffer.write(result.index.raw)
    else:
        write_lines([str(result)])
