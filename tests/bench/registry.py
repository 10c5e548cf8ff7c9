"""The embedded registry beside distribution v3: the same client, the same content, on the same disk."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench.measure import Command, Comparison, compare
from tests.support.command import clean_environment, output_of, peer
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, distribution, embedded

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
MIB = 1 << 20
PROJECT = str(Path(__file__).parents[2])


class Measured(NamedTuple):
    """A line of the table: what was done, how long it took with the embedded registry and with distribution, a bar."""

    work: str
    found: Comparison
    bar: str


def measure(root: Path) -> Iterator[Measured]:
    """Push and pull 480 MB by crane, and ask 2,000 small things over 32 connections."""
    layout = root / "registries"
    make_layout(layout, PLATFORMS, layers=5, layer_size=32 * MIB)
    env = clean_environment(root, {"PYTHONPATH": PROJECT})
    with embedded(root / "embedded") as ours, distribution(root / "distribution") as theirs:
        for registry in (ours, theirs):
            output_of(peer("crane", "push", "--index", layout, f"{registry.host}/pulled:1"))
        found = compare(_push(ours, layout), _push(theirs, layout), env)
        yield Measured("`crane push` of 480 MB to the embedded registry; peer: to distribution", found, "≤ 1.5")
        found = compare(_pull(ours, root), _pull(theirs, root), env)
        yield Measured("`crane pull` of 480 MB from the embedded registry; peer: from distribution", found, "≤ 1.5")
        found = compare(_small(ours), _small(theirs), env)
        work = "2,000 small requests over 32 connections to the embedded registry; peer: to distribution"
        yield Measured(work, found, "≤ 3")


def _push(registry: RunningRegistry, layout: Path) -> Command:
    name = f"{registry.host}/pushed"
    return Command(registry.kind, lambda run: ["crane", "push", "--index", layout, f"{name}{run}:1"])


def _pull(registry: RunningRegistry, root: Path) -> Command:
    def arguments(run: int) -> list[str | Path]:
        target = root / "pulled" / registry.kind
        shutil.rmtree(target, ignore_errors=True)
        return ["crane", "pull", "--format", "oci", f"{registry.host}/pulled:1", target / str(run)]

    return Command(registry.kind, arguments)


def _small(registry: RunningRegistry) -> Command:
    return Command(
        registry.kind, lambda _: [sys.executable, "-m", "tests.bench.requests", registry.host, "pulled", "1"]
    )
