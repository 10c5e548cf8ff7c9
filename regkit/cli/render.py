"""Events on stderr: plain lines, the same with a live status on a terminal, JSON Lines, or nothing."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from regkit import events
from regkit.cli.output import human_size, safe
from regkit.events import Event, Reporter, ignore


@contextmanager
def rendering(mode: str, *, quiet: bool, verbose: bool, color: str) -> Iterator[Reporter]:
    """Give the reporter for `mode`; on a terminal it shows what is under way until the block ends."""
    terminal = sys.stderr.isatty()
    if mode == "auto":
        mode = "tty" if terminal and not os.environ.get("CI") else "plain"
    if mode == "none" or (quiet and mode != "json"):
        yield _only_warnings if mode != "none" else ignore
    elif mode == "json":
        yield _locked(_write_json)
    elif mode == "tty":
        with _terminal(verbose=verbose, color=color) as report:
            yield report
    else:
        yield _locked(lambda event: _write(describe(event, verbose=verbose)))


def describe(event: Event, *, verbose: bool) -> str | None:  # noqa: C901, PLR0911, PLR0912 - one case an event
    """Write an event as a line for people; None for one that isn't worth a line."""
    match event:
        case events.Note(text, warning):
            return f"warning: {text}" if warning else text
        case events.StageStarted(_, title):
            return f"==> {title}"
        case events.BuilderStarted(root, shared):
            return f"started buildkitd, its cache in {root}" if verbose or not shared else None
        case events.StepDone(platform, name, cached, seconds, error):
            if not verbose and (name.startswith("[internal]") or not name.startswith("[")):
                return None
            result = f"FAILED: {error}" if error else "cached" if cached else f"{seconds:.1f}s"
            return f"{_prefix(platform)}{name}  {result}"
        case events.StepLog(platform, _, line):
            return f"{_prefix(platform)}| {line}" if verbose else None
        case events.BlobPushed(descriptor):
            return f"pushed {descriptor.digest.short}  {human_size(descriptor.size)}"
        case events.ContentExists(descriptor):
            return f"exists {descriptor.digest.short}" if verbose else None
        case events.ManifestPushed(descriptor, tag):
            return f"pushed {tag or descriptor.digest.short}  manifest" if verbose else None
        case events.TagMoved(tag, digest, previous):
            return f"tagged {tag} -> {digest.short}" + (f" (was {previous.short})" if previous else "")
        case events.TagKept(tag, reason):
            return f"kept {tag}: {reason}"
        case events.TagRemoved(tag):
            return f"removed {tag}"
        case events.RetryScheduled(request, reason, attempt, delay):
            return f"again in {delay:.1f}s (try {attempt}): {request}: {reason}"
        case events.RequestServed(method, path, status, uploads):
            return f"{method} {path} {status} uploads={uploads}"
        case events.StepStarted():
            return None


def _prefix(platform: str) -> str:
    return f"[{platform}] " if platform else ""


def _only_warnings(event: Event) -> None:
    if isinstance(event, events.Note) and event.warning:
        _write(f"warning: {event.text}")


def _write(line: str | None) -> None:
    if line is not None:
        sys.stderr.write(safe(line, keep="\n") + "\n")
        sys.stderr.flush()


def _write_json(event: Event) -> None:
    document: dict[str, Any] = {"event": type(event).__name__}
    for key, value in event._asdict().items():
        document[key] = value.to_json() if hasattr(value, "to_json") else value
    _write(json.dumps(document))


def _locked(render: Callable[[Event], None]) -> Reporter:
    """Keep lines whole: events come from any thread."""
    lock = threading.Lock()

    def report(event: Event) -> None:
        with lock:
            render(event)

    return report


@contextmanager
def _terminal(*, verbose: bool, color: str) -> Iterator[Reporter]:
    from rich.console import Console
    from rich.text import Text

    wanted = {"always": True, "never": False}.get(color)
    console = Console(stderr=True, force_terminal=True, no_color=wanted is False or None, highlight=False)
    with console.status("starting") as status:

        def render(event: Event) -> None:
            if isinstance(event, events.StageStarted):
                status.update(Text(event.title))
            elif isinstance(event, events.StepStarted):
                status.update(Text(f"{_prefix(event.platform)}{event.name}"))
            line = describe(event, verbose=verbose)
            if line is not None:
                console.print(Text(safe(line, keep="\n"), style=_style(event)))

        yield _locked(render)


def _style(event: Event) -> str:
    match event:
        case events.StageStarted():
            return "bold"
        case events.TagMoved():
            return "green"
        case events.Note(warning=True) | events.RetryScheduled():
            return "yellow"
    return ""
