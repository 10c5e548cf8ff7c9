"""`regkit inspect`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.names import read_names
from regkit.cli.options import globals_of
from regkit.cli.output import fitting, human_size, write_documents, write_lines

if TYPE_CHECKING:
    from regkit.oci.manifest import Manifest
    from regkit.oci.platform import Platform
    from regkit.ops.inspect import Inspected, Inspection
    from regkit.targets.location import Location
    from regkit.transport.session import Session

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


class View(StrEnum):
    """How an inspection is written."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    tree = "tree"
    raw = "raw"
    manifest_tool = "manifest-tool"


@app.command()
def inspect(
    ctx: typer.Context,
    refs: Annotated[list[str], typer.Argument(metavar="REF...", help="References; '-' reads them from stdin.")],
    view: Annotated[View, typer.Option("--format", envvar="REGKIT_FORMAT", help="How it is shown.")] = View.table,
    platform: Annotated[
        str | None, typer.Option(envvar="REGKIT_ONE_PLATFORM", help="The image for this platform.")
    ] = None,
    config: Annotated[
        bool,
        typer.Option(
            "--config", envvar="REGKIT_CONFIG_ONLY", help="The configuration: of one image its bytes, else JSON."
        ),
    ] = False,
    attestations: Annotated[
        bool,
        typer.Option(
            "--attestations", envvar="REGKIT_ATTESTATIONS_ONLY", help="SBOM and provenance; JSON has all of each."
        ),
    ] = False,
) -> None:
    """Show what a reference stands for: an index with its platforms, or an image."""
    from regkit.oci.platform import Platform
    from regkit.ops.inspect import inspect as look
    from regkit.ops.inspect import read_manifest
    from regkit.targets.location import Location

    locations = [Location.parse(text) for text in read_names(refs)]
    wanted = Platform.parse(platform) if platform else None
    if config or attestations:
        _check_view(view, both=config and attestations)
    with globals_of(ctx).session() as session:
        if config:
            _configs(session, locations, wanted, view)
            return
        if attestations:
            _attestations(session, locations, wanted, view)
            return
        if view is View.tree:
            _trees(session, locations, wanted)
            return
        if view is View.raw:
            for location in locations:
                sys.stdout.buffer.write(read_manifest(session, location, wanted).raw)
            return
        found = [look(session, location, wanted) for location in locations]
    if view in (View.json, View.jsonl):
        write_documents([inspection.to_json() for inspection in found], view)
        return
    show = _table if view is View.table else _manifest_tool
    for number, inspection in enumerate(found):
        write_lines([*([""] if number else []), *show(inspection)])


def _check_view(view: View, *, both: bool) -> None:
    from regkit.errors import UsageError

    if both:
        raise UsageError("--config and --attestations are two questions", hint="ask one at a time")
    if view not in (View.table, View.json, View.jsonl):
        raise UsageError(f"--format {view} is for manifests", hint="leave --format away, or write --format json")


def _configs(session: Session, locations: list[Location], platform: Platform | None, view: View) -> None:
    """Write the bytes of the only image's configuration; of several images, one JSON document by platform."""
    from regkit.ops.inspect import read_configs

    found = [(location, read_configs(session, location, platform)) for location in locations]
    if [len(configs) for _, configs in found] == [1] and view is not View.jsonl:
        sys.stdout.buffer.write(found[0][1][0].raw)
        return
    write_documents(
        [
            {
                "schema": 1,
                "name": str(location),
                "configs": {str(config.platform or config.image): config.document for config in configs},
            }
            for location, configs in found
        ],
        view,
    )


def _attestations(session: Session, locations: list[Location], platform: Platform | None, view: View) -> None:
    from regkit.ops.attestations import read_attestations

    as_json = view is not View.table
    found = [(each, read_attestations(session, each, platform, statements=as_json)) for each in locations]
    if as_json:
        documents = [(str(name), [each.to_json() for each in attestations]) for name, attestations in found]
        write_documents([{"schema": 1, "name": name, "attestations": listed} for name, listed in documents], view)
        return
    rows = [("IMAGE", "PREDICATE", "DIGEST", "SIZE")]
    rows += [
        (str(each.platform or each.image.short), each.predicate or "-", each.layer.digest, human_size(each.layer.size))
        for _, attestations in found
        for each in attestations
    ]
    write_lines(fitting(rows))


def _trees(session: Session, locations: list[Location], platform: Platform | None) -> None:
    from regkit.cli.render_tree import draw
    from regkit.ops.inspect import inspect_tree

    for number, location in enumerate(locations):
        tree = inspect_tree(session, location, platform)
        write_lines([*([""] if number else []), *draw(str(location), tree)])


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
    yield from fitting(rows)


def _kind(child: Inspected) -> str:
    if child.attested:
        return f"attestation of {child.attested.short}"
    return str(child.descriptor.platform or "none")


def _size(child: Inspected) -> str:
    return "MISSING" if child.is_missing else human_size(child.total_size)


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
    attestations = sum(1 for child in found.children if child.attested)
    images = len(found.children) - attestations
    yield f"Name:   {found.name} (Type: {found.manifest.media_type})"
    yield f"Digest: {found.manifest.digest}"
    counts = f"{images} image{'s' * (images > 1)}, {attestations} attestation{'s' * (attestations > 1)}"
    yield f" * Contains {len(found.children)} manifest references ({counts}):"
    for number, child in enumerate(found.children, 1):
        yield from _manifest_tool_child(f"[{number}]", child)


def _manifest_tool_child(mark: str, child: Inspected) -> Iterator[str]:
    descriptor = child.descriptor
    detail = " (vnd.docker.reference.type=attestation-manifest)" if child.attested else ""
    yield f"{mark}     Type: {descriptor.media_type}{detail}"
    yield f"{mark}   Digest: {descriptor.digest}"
    yield f"{mark}   Length: {descriptor.size}"
    if child.attested:
        yield f"{mark}       >>> Attestation for digest: {child.attested}"
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
