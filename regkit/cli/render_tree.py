"""What `inspect --format tree` draws."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regkit.cli.output import human_size

if TYPE_CHECKING:
    from regkit.oci.descriptor import Descriptor
    from regkit.ops.inspect import Tree

_LINES = {"middle": "├── ", "last": "└── ", "down": "│   ", "blank": "    "}
_PLAIN = {"middle": "|-- ", "last": "`-- ", "down": "|   ", "blank": "    "}


@dataclass(frozen=True, slots=True)
class _Branch:
    label: str
    beneath: tuple[_Branch, ...] = ()


def draw(name: str, tree: Tree) -> Iterator[str]:
    """Give the lines: an index over its images over their layers, each with what refers to it."""
    try:
        "".join(_LINES.values()).encode(sys.stdout.encoding)
        lines = _LINES
    except UnicodeEncodeError:
        lines = _PLAIN
    yield name
    yield from _lines(_branch(tree), "", "", lines)


def _lines(branch: _Branch, first: str, rest: str, lines: dict[str, str]) -> Iterator[str]:
    yield f"{first}{branch.label}"
    for number, below in enumerate(branch.beneath, 1):
        last = number == len(branch.beneath)
        mark, space = (lines["last"], lines["blank"]) if last else (lines["middle"], lines["down"])
        yield from _lines(below, rest + mark, rest + space, lines)


def _branch(tree: Tree, what: str = "", attestations: tuple[Tree, ...] = ()) -> _Branch:
    """Draw a manifest; the attestations of an image stand beneath it, not beside it."""
    entry = tree.entry
    manifest = entry.manifest
    what = what or _kind(tree)
    if manifest is None:
        size = "MISSING" if entry.is_missing else human_size(entry.descriptor.size)
        return _Branch(f"{what}  {entry.descriptor.digest.short}  {size}")
    images = {child.entry.descriptor.digest for child in tree.children}
    paired: dict[str, list[Tree]] = {}
    for child in tree.children:
        if child.entry.attested in images:
            paired.setdefault(str(child.entry.attested), []).append(child)
    beneath = [_branch(child, "attestation") for child in attestations]
    beneath = [*(_layer(layer) for layer in manifest.layers), *beneath]
    for child in tree.children:
        if child.entry.attested not in images:
            beneath.append(_branch(child, "", tuple(paired.get(child.entry.descriptor.digest, ()))))
    for referrer in tree.referrers:
        kind = referrer.entry.descriptor.artifact_type or "unknown"
        beneath.append(_branch(referrer, f"referrer {kind}"))
    size = human_size(len(manifest.raw) if manifest.is_index else entry.total_size)
    return _Branch(f"{what}  {entry.descriptor.digest.short}  {size}", tuple(beneath))


def _kind(tree: Tree) -> str:
    entry = tree.entry
    if entry.attested is not None:
        return f"attestation of {entry.attested.short}"
    if entry.descriptor.platform is not None:
        return str(entry.descriptor.platform)
    if not entry.descriptor.is_manifest:
        return entry.descriptor.media_type
    return "index" if entry.descriptor.is_index else "image"


def _layer(layer: Descriptor) -> _Branch:
    predicate = layer.annotations.get("in-toto.io/predicate-type")
    title = layer.annotations.get("org.opencontainers.image.title")
    return _Branch("  ".join(filter(None, (predicate or title or "layer", layer.digest.short, human_size(layer.size)))))
