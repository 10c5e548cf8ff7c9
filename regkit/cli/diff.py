"""`regkit diff`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regkit.cli.options import PENDING, Format, globals_of
from regkit.cli.output import human_size, write_json, write_lines

if TYPE_CHECKING:
    from regkit.ops.diff import Change, Diff, ImageDiff

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def diff(
    ctx: typer.Context,
    before: Annotated[str, typer.Argument(metavar="REF")],
    after: Annotated[str, typer.Argument(metavar="REF")],
    platform: Annotated[
        str | None, typer.Option(envvar="REGKIT_ONE_PLATFORM", help="Only the images for this platform.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")] = Format.text,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", envvar="REGKIT_DETAILED_EXITCODE", help="Exit 3 where they differ.")
    ] = False,
) -> None:
    """Show in what two images or releases differ: platforms, sizes, layers, configuration, annotations."""
    from regkit.oci.platform import Platform
    from regkit.ops.diff import diff as compare
    from regkit.targets.location import Location

    sides = Location.parse(before), Location.parse(after)
    wanted = Platform.parse(platform) if platform else None
    with globals_of(ctx).session() as session:
        found = compare(session, *sides, wanted)
    if form is Format.json:
        write_json(found.to_json())
    else:
        write_lines(_describe(found))
    if detailed_exitcode and not found.equal:
        raise typer.Exit(PENDING)


def _describe(found: Diff) -> Iterator[str]:
    if found.equal:
        yield f"equal: {found.before.name} and {found.after.name} are both {found.after.manifest.digest}"
        return
    yield f"--- {found.before.name} {found.before.manifest.digest}"
    yield f"+++ {found.after.name} {found.after.manifest.digest}"
    if found.media_type:
        yield _change(found.media_type)
    for change in found.annotations:
        yield _change(change, "annotation ")
    if found.before.attestations != found.after.attestations:
        yield f"~ attestations: {len(found.before.attestations)} -> {len(found.after.attestations)}, not the same"
    for image in found.images:
        yield from _image(image)


def _image(image: ImageDiff) -> Iterator[str]:
    before, after = image.before, image.after
    if before is None or after is None:
        there, mark = (after, "+") if before is None else (before, "-")
        if there is not None:
            yield f"{mark} {image.platform}  {there.descriptor.digest.short}  {human_size(there.size)}"
        return
    if image.equal:
        yield f"= {image.platform}  {after.descriptor.digest.short}  {human_size(after.size)}"
        return
    change = after.size - before.size
    growth = f"{'+' if change >= 0 else '-'}{human_size(abs(change))}"
    yield f"~ {image.platform}  {before.descriptor.digest.short} -> {after.descriptor.digest.short}  {growth}"
    size = human_size(sum(layer.size for layer in image.shared))
    yield f"    = {len(image.shared)} layer{'s' * (len(image.shared) != 1)} shared  {size}"
    for mark, layers in (("-", image.removed), ("+", image.added)):
        for layer in layers:
            yield f"    {mark} layer {layer.digest.short}  {human_size(layer.size)}"
    for each in image.config:
        yield f"    {_change(each)}"
    for each in image.annotations:
        yield f"    {_change(each, 'annotation ')}"


def _change(change: Change, what: str = "") -> str:
    if change.before is None:
        return f"+ {what}{change.key}: {_value(change.after)}"
    if change.after is None:
        return f"- {what}{change.key}: {_value(change.before)}"
    return f"~ {what}{change.key}: {_value(change.before)} -> {_value(change.after)}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
