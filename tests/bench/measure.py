"""Whole processes, timed in turn, so that a machine that slows down slows both."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RUNS = 5


@dataclass(frozen=True)
class Command:
    """What is timed: a name, and the arguments of its n-th run."""

    name: str
    arguments: Callable[[int], Sequence[str | Path]]


@dataclass(frozen=True)
class Comparison:
    """Medians of two commands in seconds, and of their ratio, run by run."""

    ours: float
    theirs: float
    ratio: float


def compare(ours: Command, theirs: Command, env: Mapping[str, str], runs: int = RUNS) -> Comparison:
    """Time both in turn, after a warm-up of each; raise CalledProcessError where one fails."""
    pairs = [(_time(ours, run, env), _time(theirs, run, env)) for run in range(runs + 1)][1:]
    return Comparison(
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def _time(command: Command, run: int, env: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(list(map(str, command.arguments(run))), env=dict(env), capture_output=True, check=True)
    return time.perf_counter() - begun
