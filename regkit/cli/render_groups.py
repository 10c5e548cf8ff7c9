"""Lines in the logs of GitHub and GitLab, where a stage's lines are folded under its title.

What a build printed can't speak to the CI system: a line that GitHub's runner would take for a command is written
so that it doesn't, and control characters, of which GitLab's marks consist, are gone before.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from regkit import events
from regkit.cli.output import safe
from regkit.cli.render_text import describe, here
from regkit.events import Event

FOLDED = frozenset({"build", "test", "push"})
"""The stages whose lines are many, and of which it's enough to know that they went well."""

_COMMAND = re.compile(r"^\s*::|##\[", re.MULTILINE)


class Marks(Protocol):
    """How a CI system folds."""

    def opening(self, name: str, title: str) -> str:
        """Give the line that begins a group."""

    def closing(self, name: str) -> str:
        """Give the line that ends it."""

    def harmless(self, line: str) -> str:
        """Give a line so that it can't be taken for a mark or a command."""


class GitHub:
    """Workflow commands: `::group::`. The runner takes `::` at a line's beginning, and `##[` anywhere."""

    def opening(self, name: str, title: str) -> str:
        """Give the line that begins a group."""
        del name
        return f"::group::{title}"

    def closing(self, name: str) -> str:
        """Give the line that ends it."""
        del name
        return "::endgroup::"

    def harmless(self, line: str) -> str:
        """Part what would be a command."""
        return _COMMAND.sub(lambda found: found[0].replace("::", ": :").replace("##[", "## ["), line)


class GitLab:
    """Collapsible sections: an escape sequence with the time, and a name that is this section's alone."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._number = clock, 0

    def opening(self, name: str, title: str) -> str:
        """Give the line that begins a section."""
        self._number += 1
        return f"\x1b[0Ksection_start:{int(self._clock())}:{self._id(name)}[collapsed=true]\r\x1b[0K{title}"

    def closing(self, name: str) -> str:
        """Give the line that ends it."""
        return f"\x1b[0Ksection_end:{int(self._clock())}:{self._id(name)}\r\x1b[0K"

    def harmless(self, line: str) -> str:
        """Give the line: it has no control characters."""
        return line

    def _id(self, name: str) -> str:
        return f"regkit_{name}_{self._number}"


def marks_of(env: Mapping[str, str]) -> Marks | None:
    """Tell how to fold in this environment; None where nobody would."""
    if env.get("GITHUB_ACTIONS"):
        return GitHub()
    return GitLab() if env.get("GITLAB_CI") else None


class Folding:
    """Writes lines, those of a stage in a group of their own; a warning comes after its group, where it is seen."""

    def __init__(self, write: Callable[[str], None], mark: Callable[[str], None], marks: Marks, *, verbose: bool):
        self._write, self._mark, self._marks, self._verbose = write, mark, marks, verbose
        self._open = ""
        self._warnings: list[str] = []

    def __call__(self, event: Event) -> None:
        """Write an event; within a group a build's own lines, too."""
        if isinstance(event, events.StageStarted) and event.name != self._open:
            self.close()
            if event.name in FOLDED:
                self._open = event.name
                self._mark(self._marks.opening(event.name, self._marks.harmless(safe(here(event.title)))))
                return
        is_log = isinstance(event, events.StepLog) and bool(self._open)
        line = describe(event, verbose=self._verbose or is_log)
        if line is None:
            return
        if self._open and isinstance(event, events.Note) and event.warning:
            self._warnings.append(line)
        else:
            self._write(self._marks.harmless(line))

    def close(self) -> None:
        """End the group, if one is open."""
        if self._open:
            self._mark(self._marks.closing(self._open))
            self._open = ""
        for line in self._warnings:
            self._write(self._marks.harmless(line))
        self._warnings.clear()
