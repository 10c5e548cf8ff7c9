"""Measure regkit against its peers, print the table, and write it into docs/benchmarks.md."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import RUNS, Command, compare
from tests.bench.registry import measure as registry_rows
from tests.support.command import clean_environment
from tests.support.layouts import make_layout
from tests.support.memory import peak_memory
from tests.support.proxy import far_away
from tests.support.registries import distribution

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
REGKIT = str(Path(sys.executable).with_name("regkit"))
ROUND_TRIP = 0.05
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
MIB = 1 << 20


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    work: str
    regkit: str
    peer: str
    ratio: str
    bar: str


def main() -> None:
    """Run all, print and write."""
    with tempfile.TemporaryDirectory() as directory:
        rows = list(measure(Path(directory)))
    lines = ["| work | regkit | peer | ratio | bar |", "|---|---|---|---|---|"]
    lines += [f"| {row.work} | {row.regkit} | {row.peer} | {row.ratio} | {row.bar} |" for row in rows]
    print("\n".join(lines))
    PAGE.write_text(f"{_INTRO.format(runs=RUNS, cores=os.cpu_count())}\n" + "\n".join(lines) + "\n", encoding="utf-8")


def measure(root: Path) -> Iterator[Row]:
    """Give the rows, one after the other."""
    yield start(root)
    with distribution(root / "registry") as registry:
        yield push_far_away(root, registry.host)
        yield from memory(root, registry.host)
    yield from (_row(work, found.ours, found.theirs, found.ratio, bar) for work, found, bar in registry_rows(root))


def start(root: Path) -> Row:
    """Time the shortest command against the interpreter alone."""
    ours = Command("regkit --version", lambda _: [REGKIT, "--version"])
    theirs = Command("python -c pass", lambda _: [sys.executable, "-c", "pass"])
    found = compare(ours, theirs, clean_environment(root), runs=4 * RUNS)
    return _row("`regkit --version` against `python -c pass`", found.ours, found.theirs, found.ratio, "≤ 3")


def push_far_away(root: Path, host: str) -> Row:
    """Time publishing a layout under four tags against crane, which pushes it under one."""
    layout = root / "layout"
    make_layout(layout, PLATFORMS, layers=5, layer_size=64 * 1024)
    with far_away(host, ROUND_TRIP / 2) as far:
        version = ("--version", "v1.2.3", "--commit", "0123456789abcdef")
        ours = Command(
            "regkit",
            lambda run: [REGKIT, "publish", "--from", layout, "--image", f"{far}/push/regkit{run}", *version],
        )
        theirs = Command("crane", lambda run: ["crane", "push", "--index", layout, f"{far}/push/crane{run}:1.2.3"])
        found = compare(ours, theirs, clean_environment(root))
    work = "publish a layout under 4 tags, 18 blobs, layers of 64 KiB, 50 ms round trip; crane: under 1 tag"
    return _row(work, found.ours, found.theirs, found.ratio, "≤ 0.8")


def memory(root: Path, host: str) -> Iterator[Row]:
    """Give the peak memory for a small and a large layer."""
    peaks = []
    for size in (64, 1024):
        layout = root / f"layer{size}"
        make_layout(layout, layer_size=size * MIB)
        options = ("--from", layout, "--image", f"{host}/memory/layer{size}", "--version", "v1.0.0")
        peaks.append(peak_memory("-q", "publish", *options, home=root))
    for size, peak in zip((64, 1024), peaks, strict=True):
        yield Row(f"peak memory (VmHWM), one layer of {size} MiB", f"{peak / 1e6:.1f} MB", "", "", "< 80 MB")
    yield Row("… the difference", f"{(peaks[1] - peaks[0]) / MIB:.1f} MiB", "", "", "≤ 16 MiB")


def _row(work: str, ours: float, theirs: float, ratio: float, bar: str) -> Row:
    return Row(work, f"{ours:.3f} s", f"{theirs:.3f} s", f"{ratio:.2f}", bar)


_INTRO = """# Benchmarks

`make bench` measures this and writes the page: whole processes, medians of {runs} pairs run in turn on one machine
({cores} cores), the ratio pair by pair. The registry is distribution v3. Absolute times are the machine's; ratios are
what counts. The distance is made by a forwarder that holds every byte back for half a round trip, and a new
connection's first one for a whole one, as TCP's handshake does.
"""


if __name__ == "__main__":
    main()
