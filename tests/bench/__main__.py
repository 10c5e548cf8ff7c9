"""Measure regkit against its peers, print the table, and write it into docs/benchmarks.md.

    python -m tests.bench [ROW...]

With rows named, only those are measured, and nothing is written.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.bench import cleanup, publish, registry, rows
from tests.bench.lab import Lab
from tests.bench.measure import RUNS
from tests.bench.table import ROWS, Line

MODULES = (rows, publish, registry, cleanup)
"""Importing them enters their rows, in this order."""

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main() -> None:
    """Run what is asked for, print it, and write the page where that is all."""
    names = sys.argv[1:]
    unknown = set(names) - ROWS.keys()
    if unknown:
        raise SystemExit(f"there is no row {', '.join(sorted(unknown))}; there are: {', '.join(ROWS)}")
    lines = []
    for name in names or ROWS:
        with tempfile.TemporaryDirectory() as directory:
            for line in ROWS[name](Lab.at(Path(directory))):
                print(
                    f"{line.work}: {line.regkit}; {line.peer}; {line.ratio} ({line.bar})\n    {line.bound}", flush=True
                )
                lines.append(line)
    if not names:
        PAGE.write_text(_page(lines), encoding="utf-8")


def _page(lines: list[Line]) -> str:
    table = ["| work | regkit | fastest peer | ratio | bar |", "|---|---|---|---|---|"]
    table += [f"| {line.work} | {line.regkit} | {line.peer} | {line.ratio} | {line.bar} |" for line in lines]
    bounds = [f"- **{line.work}**: {line.bound}." for line in lines if line.bound and not line.work.startswith("…")]
    intro = _INTRO.format(runs=RUNS, cores=os.cpu_count())
    return "\n".join([intro, *table, "", "## What bounds each", "", *bounds, ""])


_INTRO = """# Benchmarks

`make bench` measures this and writes the page: whole processes, medians of {runs} rounds in which all clients run in
turn on one machine ({cores} cores), after a warm-up of each. The ratio is taken round by round, against the peer with
the smallest median. The registry is distribution v3, on the same machine: what it does takes the same processors.
Absolute times are the machine's; ratios are what counts. The distance is made by a forwarder that holds every byte back
for half a round trip, and a new connection's first one for a whole one, as TCP's handshake does. CPU is what the
client's processes used, for themselves and in the kernel. Memory is VmHWM. Peers run with their own defaults, regsync
with four copies at once.
"""


if __name__ == "__main__":
    main()
