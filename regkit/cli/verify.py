"""`regkit verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.names import read_names
from regkit.cli.options import ListFormat, globals_of
from regkit.cli.output import write_documents, write_lines

if TYPE_CHECKING:
    from regkit.ops.verify import Verification

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def verify(
    ctx: typer.Context,
    refs: Annotated[list[str], typer.Argument(metavar="REF...", help="References; '-' reads them from stdin.")],
    platforms: Annotated[
        list[str] | None,
        typer.Option(
            "--platforms",
            envvar="REGKIT_PLATFORMS",
            metavar="LIST",
            help="The images must be for exactly these platforms; comma-separated or repeated.",
        ),
    ] = None,
    blobs: Annotated[
        bool, typer.Option("--blobs", envvar="REGKIT_BLOBS", help="Read every blob too, and compute its digest.")
    ] = False,
    form: Annotated[ListFormat, typer.Option("--format", envvar="REGKIT_FORMAT")] = ListFormat.text,
) -> None:
    """Look whether all of a release is there: every child, configuration and blob, of the right size.

    Each finding is a line; where something is wrong the exit code is 7.
    """
    from regkit.errors import VerificationFailed
    from regkit.oci.platform import parse_platforms
    from regkit.ops.verify import verify as look
    from regkit.targets.location import Location

    locations = [Location.parse(text) for text in read_names(refs)]
    expected = parse_platforms(platforms or ())
    with globals_of(ctx).session() as session:
        found = [look(session, location, expected, read_blobs=blobs) for location in locations]
    if form is not ListFormat.text:
        write_documents([verification.to_json() for verification in found], form)
    else:
        for verification in found:
            _show(verification)
    bad = [verification for verification in found if not verification.good]
    if bad:
        count = sum(finding.wrong for verification in bad for finding in verification.findings)
        what = "1 thing is" if count == 1 else f"{count} things are"
        raise VerificationFailed(f"{what} wrong with {', '.join(verification.name for verification in bad)}")


def _show(found: Verification) -> None:
    write_lines(str(finding) for finding in found.findings)
    if found.good:
        platforms = ", ".join(str(platform) for platform in found.platforms) or "no image"
        counts = (
            f"{found.manifests} manifest{'s' * (found.manifests != 1)}, {found.blobs} blob{'s' * (found.blobs != 1)}"
        )
        write_lines([f"good: {found.name} {found.digest}: {platforms}; {counts}"])
