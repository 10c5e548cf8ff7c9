"""Events on a terminal: what is under way moves at the bottom, a line stays of each stage, at the end the matrix."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from regkit import events
from regkit.cli.output import counted, human_size, safe, table, width_of
from regkit.cli.render_tally import Platform, Tally, bytes_of
from regkit.cli.render_text import describe, here
from regkit.events import Event, Reporter

WIDTH = 120
"""How wide a line becomes at most: on a wider terminal its end is too far from its beginning."""

_DETAILS = (events.PlatformTested, events.TagMoved, events.TagKept, events.TagRemoved)
_UNSAID = (events.StageStarted, events.StepDone, events.BlobPushed)
_PASSING = "plan"
"""The stage of which nothing stays: reading what is there."""
_STILL = "ask"
"""The stage in which nothing moves: a question stands where that would be drawn."""


@dataclass(slots=True)
class _Stage:
    name: str
    title: str
    since: float
    lines: list[Text] = field(default_factory=list)


class Screen:
    """What is shown; `report` takes an event, from one thread at a time."""

    def __init__(self, console: Console, *, verbose: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._verbose, self._clock = console, verbose, clock
        self._width = min(console.width, WIDTH)
        self._unicode = console.encoding.lower().startswith("utf")
        self._tally = Tally()
        self._stages: list[_Stage] = []
        self._told = False
        self.refresh: Callable[[], None] = lambda: None
        """Has what moves drawn anew at once; before lines are written that take its place."""
        self.stop: Callable[[], None] = lambda: None
        self.start: Callable[[], None] = lambda: None
        self._spinner = Spinner("dots" if self._unicode else "line", style="cyan")

    def report(self, event: Event) -> None:
        """Show an event."""
        self._tally.note(event)
        if isinstance(event, events.StageStarted):
            self._begin(event)
        elif isinstance(event, events.ReleaseUp):
            self.finish()
            self.show_matrix()
        elif isinstance(event, _DETAILS) and self._stages:
            self._stages[-1].lines.append(self._detail(event))
        else:
            line = describe(event, verbose=self._verbose)
            if line is not None and (self._verbose or not isinstance(event, _UNSAID)):
                self._console.print(Text(safe(line, keep="\n"), style=_style(event)), width=self._width)

    def finish(self, *, failed: bool = False) -> None:
        """Let a line stay of every stage that is under way."""
        stages, self._stages = self._stages, []
        self.refresh()
        for stage in stages:
            if stage.name != _PASSING:
                self._console.print(self._headline(stage, self._mark(failed=failed), alone=len(stages) == 1))
                for line in stage.lines:
                    self._console.print(line, width=self._width)

    def live(self) -> RenderableType:
        """Give what is under way, as of now."""
        stages, rows = list(self._stages), list(self._tally.platforms.values())
        if not stages:
            return Text()
        parts: list[RenderableType] = []
        for stage in stages:
            parts += [self._headline(stage, self._spinner, alone=len(stages) == 1), *list(stage.lines)]
        show = {"build": self._building, "test": self._building, "push": self._pushing}.get(stages[0].name)
        if show is not None and rows:
            parts.append(show(sorted(rows, key=lambda row: row.name)))
        return Group(*parts)

    def _begin(self, event: events.StageStarted) -> None:
        """Begin a stage; those of the same name go on beside it, to other repositories."""
        if event.name == _STILL:
            self.finish()
            self.stop()
            return
        self.start()
        if self._stages and event.name != self._stages[0].name:
            self.finish()
        self._stages.append(_Stage(event.name, event.title, self._clock()))

    def _headline(self, stage: _Stage, mark: RenderableType, *, alone: bool) -> Table:
        line = Table.grid(padding=(0, 1), expand=True)
        line.width = self._width
        line.add_column(width=1)
        line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        line.add_column(justify="right", no_wrap=True)
        line.add_column(justify="right", no_wrap=True, min_width=5)
        seconds = f"{self._clock() - stage.since:.1f}s"
        facts = self._facts(stage.name) if alone else ""
        line.add_row(mark, Text(safe(here(stage.title))), Text(facts, "dim"), Text(seconds, "dim"))
        return line

    def _facts(self, stage: str) -> str:
        tally = self._tally
        if stage == "build":
            return f"{counted(tally.steps, 'step')}, {tally.cached} cached" if tally.steps else ""
        if stage == "push":
            sent = sum(tally.sent.get(digest, 0) for digest in tally.arrived)
            return (
                f"{counted(len(tally.arrived), 'blob')}, {human_size(sent)}" if tally.arrived else "all there already"
            )
        return ""

    def _detail(self, event: Event) -> Text:
        """Write what became of a platform's test, or of a tag, below its stage."""
        match event:
            case events.PlatformTested(platform, passed, seconds):
                verdict = Text("passed", "green") if passed else Text("FAILED", "bold red")
                return Text.assemble("  ", f"{safe(platform):<16}", verdict, (f"  {seconds:.1f}s", "dim"))
            case events.TagMoved(tag, digest, previous):
                line = Text.assemble("  ", (f"{safe(tag):<12}", "green"), f" {digest.short}")
                return line.append(f"  was {previous.short}", "dim") if previous else line
            case events.TagKept(tag, reason):
                return Text.assemble("  ", f"{safe(tag):<12}", (f" kept: {safe(reason)}", "dim"))
        return Text(f"  {safe(describe(event, verbose=True) or '')}")

    def _building(self, rows: list[Platform]) -> Table:
        grid = self._grid(rows)
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        grid.add_column(justify="right", no_wrap=True)
        for row in rows:
            what = Text(safe(row.running)) if row.running else Text(f"{counted(row.steps, 'step')} done", "dim")
            grid.add_row(Text(f"  {row.name}"), what, Text(bytes_of(row.moved.copy().values()), "dim"))
        if self._tally.common.running and not any(row.running for row in rows):
            grid.add_row(Text("  all"), Text(safe(self._tally.common.running)), Text())
        return grid

    def _pushing(self, rows: list[Platform]) -> Table:
        grid = self._grid(rows)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", no_wrap=True)
        grid.add_column(justify="right", no_wrap=True)
        tally = self._tally
        for row in rows:
            there = [layer.digest in tally.arrived or layer.digest in tally.existing for layer in row.layers]
            pairs = [
                (layer.size if done else tally.sent.get(layer.digest, 0), layer.size)
                for layer, done in zip(row.layers, there, strict=True)
            ]
            bar = ProgressBar(max(1, sum(whole for _, whole in pairs)), sum(part for part, _ in pairs))
            layers = f"{sum(there)} of {counted(len(there), 'layer')}"
            grid.add_row(Text(f"  {row.name}"), bar, Text(layers), Text(bytes_of(pairs), "dim"))
        return grid

    def _grid(self, rows: list[Platform]) -> Table:
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.width = self._width
        grid.add_column(width=max(width_of(row.name) for row in rows) + 2, no_wrap=True)
        return grid

    def show_matrix(self) -> None:
        """Write the images, once: with whole digests where the terminal is wide enough."""
        if self._told or not self._tally.images:
            return
        self._told = True
        lines = table(self._tally.matrix())
        if max(map(len, lines)) > self._console.width - 2:
            lines = table(self._tally.matrix(short=True))
        self._console.print()
        for number, line in enumerate(lines):
            style = "bold red" if "FAILED" in line else "dim" if number == 0 else ""
            self._console.print(Text(f"  {safe(line)}", style), no_wrap=True, overflow="ellipsis")
        self._console.print()

    def _mark(self, *, failed: bool) -> Text:
        if failed:
            return Text("✗" if self._unicode else "x", "bold red")
        return Text("✓" if self._unicode else "*", "green")


@contextmanager
def on_terminal(*, verbose: bool, color: bool) -> Iterator[Reporter]:
    """Show events on stderr until the block ends."""
    fixed: dict[str, Any] = {"stderr": True, "force_terminal": True, "highlight": False, "no_color": not color}
    console = Console(**fixed, color_system="auto" if color else None)
    if color and console.color_system is None:  # they are asked for, whatever the terminal says
        console = Console(**fixed, color_system="standard")
    screen = Screen(console, verbose=verbose)
    moving = Live(
        console=console, transient=True, refresh_per_second=10, get_renderable=screen.live, redirect_stdout=False
    )
    with moving:
        screen.refresh, screen.start, screen.stop = moving.refresh, moving.start, moving.stop
        try:
            yield screen.report
        except BaseException:
            screen.finish(failed=True)
            raise
        screen.finish()
        screen.show_matrix()


def _style(event: Event) -> str:
    match event:
        case events.StepDone(error=error) if error:
            return "red"
        case events.Note(warning=True) | events.RetryScheduled():
            return "yellow"
        case events.StepLog() | events.BuilderStarted():
            return "dim"
    return ""
