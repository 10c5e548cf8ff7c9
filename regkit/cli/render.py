"""Events on stderr: on a terminal as they move, in groups in a CI's log, as plain lines, JSON Lines, or not at all."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from regkit import events
from regkit.cli.output import painted, safe, table, wants_color
from regkit.cli.render_tally import Tally
from regkit.cli.render_text import describe
from regkit.errors import RegkitError
from regkit.events import Event, Reporter, ignore


@contextmanager
def rendering(mode: str, *, quiet: bool, verbose: bool, listener: Reporter | None = None) -> Iterator[Reporter]:
    """Give the reporter for `mode`; what was begun on the screen ends with the block. `listener` hears all, too.

    `auto` is `tty` on a terminal that can move its cursor, outside of CI; in GitHub's and GitLab's jobs lines in
    groups; else `plain`.
    """
    env = os.environ
    groups = mode == "auto"
    if mode == "auto":
        moves = sys.stderr.isatty() and not env.get("CI") and env.get("TERM") != "dumb"
        mode = "tty" if moves else "plain"
    if mode == "none" or (quiet and mode != "json"):
        yield _locked(_only_warnings if mode != "none" else ignore, listener)
    elif mode == "json":
        with _failures(_write_json):
            yield _locked(_write_json, listener)
    elif mode == "tty":
        from regkit.cli.render_tty import on_terminal

        with on_terminal(verbose=verbose, color=wants_color(sys.stderr)) as report:
            yield _locked(report, listener)
    else:
        with _lines(verbose=verbose, groups=groups) as report:
            yield _locked(report, listener)


@contextmanager
def _lines(*, verbose: bool, groups: bool) -> Iterator[Reporter]:
    """Write a line an event, in a CI's groups where it folds, and the matrix at the end."""
    from regkit.cli.render_groups import Folding, marks_of

    tally, told = Tally(), list[bool]()
    marks = marks_of(os.environ) if groups else None
    folding = Folding(_write, _write_raw, marks, verbose=verbose) if marks else None

    def report(event: Event) -> None:
        tally.note(event)
        if folding:
            folding(event)
        else:
            _write(describe(event, verbose=verbose), _style(event))
        if isinstance(event, events.ReleaseUp):
            show_matrix()

    def show_matrix() -> None:
        if folding:
            folding.close()
        if tally.images and not told:
            told.append(True)
            for line in table(tally.matrix()):
                _write(line)

    try:
        yield report
    except BaseException:
        if folding:
            folding.close()
        raise
    show_matrix()


@contextmanager
def _failures(report: Reporter) -> Iterator[None]:
    """Report what the block raises."""
    try:
        yield
    except RegkitError as error:
        report(events.Failed(error.message, error.hint, error.exit_code))
        raise


def _only_warnings(event: Event) -> None:
    if isinstance(event, events.Note) and event.warning:
        _write(f"warning: {event.text}")


def _write(line: str | None, style: str = "") -> None:
    if line is not None:
        text = safe(line, keep="\n")
        _write_raw(painted(text, style, sys.stderr))


def _write_raw(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _write_json(event: Event) -> None:
    document = {key: _to_json(value) for key, value in event._asdict().items()}
    _write_raw(json.dumps({"event": type(event).__name__, **document}))


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_to_json(each) for each in value]
    return value.to_json() if hasattr(value, "to_json") else value


def _locked(render: Callable[[Event], None], listener: Reporter | None) -> Reporter:
    """Keep lines whole: events come from any thread."""
    lock = threading.Lock()

    def report(event: Event) -> None:
        with lock:
            if listener is not None:
                listener(event)
            render(event)

    return report


def _style(event: Event) -> str:
    match event:
        case events.StageStarted():
            return "bold"
        case events.TagMoved():
            return "green"
        case events.StepDone(error=error) if error:
            return "red"
        case events.Note(warning=True) | events.RetryScheduled():
            return "yellow"
    return ""
