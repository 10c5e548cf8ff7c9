"""The embedded registry beside distribution v3: the same client, the same content, on the same disk."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.lab import MIB, PLATFORMS, Lab
from tests.bench.measure import Command, compare
from tests.bench.table import Line, line, row
from tests.support.command import output_of, peer
from tests.support.registries import RunningRegistry, distribution, embedded

PROJECT = str(Path(__file__).parents[2])


@row("registry")
def registry(lab: Lab) -> Iterator[Line]:
    """Push and pull 480 MB by crane, and ask 2,000 small things over 32 connections."""
    layout = lab.layout("large", PLATFORMS, 5, 32 * MIB)
    env = {**lab.env, "PYTHONPATH": PROJECT}
    with embedded(lab.root / "embedded") as ours, distribution(lab.root / "distribution") as theirs:
        for each in (ours, theirs):
            output_of(peer("crane", "push", "--index", layout, f"{each.host}/pulled:1"))
        found = compare(_push(ours, layout), [_push(theirs, layout)], env)
        yield line("`crane push` of 480 MB to the embedded registry; peer: to distribution", found, "≤ 1.5")
        found = compare(_pull(ours, lab.root), [_pull(theirs, lab.root)], env)
        yield line("`crane pull` of 480 MB from the embedded registry; peer: from distribution", found, "≤ 1.5")
        found = compare(_small(ours), [_small(theirs)], env)
        work = "2,000 small requests over 32 connections to the embedded registry; peer: to distribution"
        yield line(work, found, "≤ 3")


def _push(registry: RunningRegistry, layout: Path) -> Command:
    name = f"{registry.host}/pushed"
    return Command.of(registry.kind, lambda run: ["crane", "push", "--index", layout, f"{name}{run}:1"])


def _pull(registry: RunningRegistry, root: Path) -> Command:
    def arguments(run: int) -> list[str | Path]:
        target = root / "pulled" / registry.kind
        shutil.rmtree(target, ignore_errors=True)
        return ["crane", "pull", "--format", "oci", f"{registry.host}/pulled:1", target / str(run)]

    return Command.of(registry.kind, arguments)


def _small(registry: RunningRegistry) -> Command:
    return Command.of(
        registry.kind, lambda _: [sys.executable, "-m", "tests.bench.requests", registry.host, "pulled", "1"]
    )
