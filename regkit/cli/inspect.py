"""`regkit inspect`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.options import globals_of
from regkit.cli.output import human_size, table, write_json, write_lines

if TYPE_CHECKING:
    from regkit.oci.manifest import Manifest
    from regkit.ops.inspect import Entry, Inspection

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


class View(StrEnum):
    """How an inspection is written."""

    table = "table"
    json = "json"
    raw = "raw"
    manifest_tool = "manifest-tool"


@app.command()
def inspect(
    ctx: typer.Context,
    refs: Annotated[list[str], typer.Argument(metavar="REF...", help="References; '-' reads them from stdin.")],
    view: Annotated[View, typer.Option("--format", envvar="REGKIT_FORMAT", help="How it is shown.")] = View.table,
    platform: Annotated[str | None, typer.Option(envvar="REGKIT_PLATFORM", help="The image for this platform.")] = None,
) -> None:
    """Show what a reference stands for: an index with its platforms, or an image."""
    from regkit.oci.platform import Platform
    from regkit.ops.inspect import inspect as look
    from regkit.ops.inspect import read_manifest
    from regkit.targets.location import Location

    locations = [Location.parse(text) for text in read_names(refs)]
    wanted = Platform.parse(platform) if platform else None
    with globals_of(ctx).session() as session:
        if view is View.raw:
            for location in locations:
                sys.stdout.buffer.write(read_manifest(session, location, wanted).raw)
            return
        found = [look(session, location, wanted) for location in locations]
    if view is View.json:
        documents = [inspection.to_json() for inspection in found]
        write_json(documents[0] if len(documents) == 1 else documents)
        return
    show = _table if view is View.table else _manifest_tool
    for number, inspection in enumerate(found):
        write_lines([*([""] if number else []), *show(inspection)])


def read_names(names: list[str]) -> Iterator[str]:
    """Give the names, those on stdin where one is `-`."""
    for name in names:
        if name == "-":
            yield from (line.strip() for line in sys.stdin if line.strip())
        else:
            yield name


def _table(found: Inspection) -> Iterator[str]:
    yield f"Name:       {found.name}"
    yield f"Digest:     {found.manifest.digest}"
    yield f"Media type: {found.manifest.media_type}"
    for key, value in found.manifest.annotations.items():
        yield f"Annotation: {key}={value}"
    if not found.manifest.is_index:
        yield f"Platform:   {found.platform or 'unknown'}"
        rows = [("LAYER", "SIZE", "MEDIA TYPE")]
        rows += [(layer.digest, human_size(layer.size), layer.media_type) for layer in found.manifest.layers]
    else:
        rows = [("PLATFORM", "DIGEST", "SIZE")]
        rows += [(_kind(child), child.descriptor.digest, _size(child)) for child in found.children]
    yield ""
    yield from table(rows)


def _kind(child: Entry) -> str:
    if child.descriptor.attests:
        return f"attestation of {child.descriptor.attests.short}"
    return str(child.descriptor.platform or "none")


def _size(child: Entry) -> str:
    return human_size(child.total_size) if child.manifest else "MISSING"


def _manifest_tool(found: Inspection) -> Iterator[str]:
    """Write the fields that `manifest-tool inspect` writes, in its order, for scripts that read them."""
    if not found.manifest.is_index:
        yield f"Name: {found.name} (Type: {found.manifest.media_type})"
        yield f"      Digest: {found.manifest.digest}"
        yield f"        Size: {len(found.manifest.raw)}"
        yield f"          OS: {found.platform.os if found.platform else ''}"
        yield f"        Arch: {found.platform.architecture if found.platform else ''}"
        yield f"    # Layers: {len(found.manifest.layers)}"
        for number, layer in enumerate(found.manifest.layers, 1):
            yield f"      layer {number:02}: digest = {layer.digest}"
        return
    attestations = sum(1 for child in found.children if child.descriptor.attests)
    images = len(found.children) - attestations
    yield f"Name:   {found.name} (Type: {found.manifest.media_type})"
    yield f"Digest: {found.manifest.digest}"
    counts = f"{images} image{'s' * (images > 1)}, {attestations} attestation{'s' * (attestations > 1)}"
    yield f" * Contains {len(found.children)} manifest references ({counts}):"
    for number, child in enumerate(found.children, 1):
        yield from _manifest_tool_child(f"[{number}]", child)


def _manifest_tool_child(mark: str, child: Entry) -> Iterator[str]:
    descriptor = child.descriptor
    detail = " (vnd.docker.reference.type=attestation-manifest)" if descriptor.attests else ""
    yield f"{mark}     Type: {descriptor.media_type}{detail}"
    yield f"{mark}   Digest: {descriptor.digest}"
    yield f"{mark}   Length: {descriptor.size}"
    if descriptor.attests:
        yield f"{mark}       >>> Attestation for digest: {descriptor.attests}"
        yield ""
        return
    yield f"{mark} Platform:"
    if descriptor.platform is None:
        yield f"{mark}    -      (no platform specified)"
    else:
        yield f"{mark}    -      OS: {descriptor.platform.os}"
        if descriptor.platform.os_version:
            yield f"{mark}    - OS Vers: {descriptor.platform.os_version}"
        if descriptor.platform.os_features:
            yield f"{mark}    - OS Feat: [{' '.join(descriptor.platform.os_features)}]"
        yield f"{mark}    -    Arch: {descriptor.platform.architecture}"
        if descriptor.platform.variant:
            yield f"{mark}    - Variant: {descriptor.platform.variant}"
    yield from _manifest_tool_layers(mark, child.manifest)
    yield ""


def _manifest_tool_layers(mark: str, manifest: Manifest | None) -> Iterator[str]:
    layers = manifest.layers if manifest else ()
    yield f"{mark} # Layers: {len(layers)}"
    for number, layer in enumerate(layers, 1):
        yield f"     layer {number:02}: digest = {layer.digest}"
        yield f"                 type = {layer.media_type}"
