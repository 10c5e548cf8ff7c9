"""`regkit blob get|head|put`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.names import read_names
from regkit.cli.options import globals_of
from regkit.cli.output import write_json, write_lines

if TYPE_CHECKING:
    from regkit.protocol.flow import Source

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)

Refs = Annotated[
    list[str], typer.Argument(metavar="REF@DIGEST...", help="Blobs by digest; '-' reads references from stdin.")
]


@app.command()
def get(
    ctx: typer.Context,
    refs: Refs,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", envvar="REGKIT_BLOB_OUTPUT", help="A file; it is there whole, or not at all."),
    ] = None,
) -> None:
    """Read a blob; its last bytes are handed on only when all of it has its digest."""
    from regkit.errors import UsageError
    from regkit.ops.content import opened_blob, save_blob
    from regkit.targets.location import Location

    locations = [Location.parse(text) for text in read_names(refs)]
    if output is not None and len(locations) != 1:
        raise UsageError(f"--output takes one blob, not {len(locations)}")
    with globals_of(ctx).session() as session:
        for location in locations:
            if output is not None:
                save_blob(session, location, output)
                continue
            with opened_blob(session, location) as stream:
                shutil.copyfileobj(stream, sys.stdout.buffer, 1 << 20)


@app.command()
def head(ctx: typer.Context, refs: Refs) -> None:
    """Write a blob's descriptor as JSON: digest and size. Reads none of it."""
    from regkit.ops.content import find_blob
    from regkit.targets.location import Location

    locations = [Location.parse(text) for text in read_names(refs)]
    with globals_of(ctx).session() as session:
        found = [find_blob(session, location).to_json() for location in locations]
    write_json(found[0] if len(found) == 1 else found)


@app.command()
def put(
    ctx: typer.Context,
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="Or ocidir://DIR.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE|-", exists=True, dir_okay=False, allow_dash=True, help="The content.")
    ],
) -> None:
    """Put a blob there, unless it is there; its digest is printed.

    A pipe that nothing comes through is an error: the command before it has failed. The empty blob is put from a file.
    """
    from regkit.errors import UsageError
    from regkit.ops.content import push_blob
    from regkit.targets.location import Location

    location = Location.parse(repository)
    with globals_of(ctx).session() as session, _source(file) as source:
        try:
            digest = push_blob(session, location, source)
        except OSError as error:
            raise UsageError(f"{file} can't be read: {error.strerror}") from None
    write_lines([digest])


@contextmanager
def _source(file: Path) -> Iterator[Source]:
    """Give content that can be read twice: what comes through a pipe is kept on disk meanwhile.

    Raise UsageError for a pipe that nothing comes through.
    """
    from regkit.errors import RegkitError, UsageError
    from regkit.targets.file import File

    piped = str(file) == "-"
    if file.is_file() and not piped:
        yield File.named(file)
        return
    with tempfile.TemporaryDirectory() as directory:
        kept = Path(directory) / "blob"
        try:
            with nullcontext(sys.stdin.buffer) if piped else file.open("rb") as stream, kept.open("wb") as output:
                shutil.copyfileobj(stream, output, 1 << 20)
        except OSError as error:
            raise RegkitError(
                f"what comes from {file} can't be kept in {directory} meanwhile: {error.strerror}",
                hint="make room there, or set TMPDIR to a directory that has it",
            ) from None
        if not kept.stat().st_size and (piped or file.is_fifo()):
            raise UsageError(
                f"nothing came on {'stdin' if piped else file}, and an empty blob is seldom meant",
                hint="look at the command before the pipe; the empty blob is put with /dev/null in its place",
            )
        yield File.named(kept)
