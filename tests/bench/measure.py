"""Whole processes, timed in turn, so that a machine that slows down slows all of them."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.registries import RunningRegistry

RUNS = 5
HOPELESS = 3

Argv = Sequence[str | Path]


@dataclass(frozen=True)
class Command:
    """What is timed: a name, and the processes of its n-th run, one after the other."""

    name: str
    processes: Callable[[int], Sequence[Argv]]

    @classmethod
    def of(cls, name: str, argv: Callable[[int], Argv]) -> Command:
        """Make one of a single process."""
        return cls(name, lambda run: [argv(run)])


@dataclass(frozen=True)
class Run:
    """What one run took: seconds on the clock, seconds of the client's processors, the registries' requests."""

    seconds: float
    cpu: float
    requests: int = 0


@dataclass(frozen=True)
class Comparison:
    """Our runs and those of each peer, by name."""

    ours: Sequence[Run]
    peers: Mapping[str, Sequence[Run]]

    @property
    def fastest(self) -> str:
        """The peer with the smallest median."""
        return min(self.peers, key=lambda name: _median(run.seconds for run in self.peers[name]))

    @property
    def ratio(self) -> float:
        """The median, run by run, of our time over the fastest peer's."""
        pairs = zip(self.ours, self.peers[self.fastest], strict=True)
        return statistics.median(a.seconds / b.seconds for a, b in pairs)

    @property
    def seconds(self) -> tuple[float, float]:
        """Our median, and the fastest peer's."""
        return _median(r.seconds for r in self.ours), _median(r.seconds for r in self.peers[self.fastest])

    @property
    def cpu(self) -> str:
        """Say what each client's processors had to do."""
        return ", ".join(f"{name} {_median(run.cpu for run in runs):.2f} s" for name, runs in self._named)

    @property
    def requests(self) -> str:
        """Say how many requests each client sent."""
        return ", ".join(f"{name} {_median(run.requests for run in runs):.0f}" for name, runs in self._named)

    @property
    def most_requests(self) -> int:
        """The most requests that one of our runs took."""
        return max(run.requests for run in self.ours)

    @property
    def _named(self) -> list[tuple[str, Sequence[Run]]]:
        return [("regkit", self.ours), *self.peers.items()]

    @property
    def times(self) -> str:
        """Say how long each client took."""
        return ", ".join(f"{name} {_median(run.seconds for run in runs):.2f} s" for name, runs in self._named)


def compare(
    ours: Command,
    peers: Sequence[Command],
    env: Mapping[str, str],
    *,
    registries: Sequence[RunningRegistry] = (),
    runs: int = RUNS,
) -> Comparison:
    """Time all in turn, after a warm-up of each; end where one fails.

    A peer whose warm-up takes `HOPELESS` times as long as the fastest peer's isn't run again.
    """
    first = {peer.name: _time(peer, 0, env, registries) for peer in peers}
    limit = HOPELESS * min(run.seconds for run in first.values())
    quick = [peer for peer in peers if first[peer.name].seconds <= limit]
    _time(ours, 0, env, registries)
    found: dict[str, list[Run]] = {command.name: [] for command in (ours, *quick)}
    for run in range(1, runs + 1):
        for command in (ours, *quick):
            found[command.name].append(_time(command, run, env, registries))
    slow = {peer.name: [first[peer.name]] for peer in peers if peer not in quick}
    return Comparison(found.pop(ours.name), {**found, **slow})


def _time(command: Command, run: int, env: Mapping[str, str], registries: Sequence[RunningRegistry]) -> Run:
    marks = [registry.mark() for registry in registries]
    begun, used = time.perf_counter(), _children()
    for argv in command.processes(run):
        told = list(map(str, argv))
        # At home, where no project lies: regkit would look through this one's pyproject.toml.
        done = subprocess.run(told, env=dict(env), cwd=env["HOME"], capture_output=True, check=False, text=True)
        if done.returncode:
            raise SystemExit(f"{done.args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    seconds, cpu = time.perf_counter() - begun, _children() - used
    requests = sum(len(registry.since(mark)) for registry, mark in zip(registries, marks, strict=True))
    return Run(seconds, cpu, requests)


def _children() -> float:
    """Give the seconds that the processors spent on processes that have ended, for users and for the kernel."""
    times = os.times()
    return times.children_user + times.children_system


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)
