"""What every command gets from the options before its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from regkit.events import Reporter
    from regkit.transport.session import Session


class Progress(StrEnum):
    """How progress is shown."""

    auto = "auto"
    tty = "tty"
    plain = "plain"
    json = "json"
    none = "none"


class Format(StrEnum):
    """How a result is written."""

    text = "text"
    json = "json"


@dataclass(frozen=True, slots=True)
class Globals:
    """The options before the command's name."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    progress: Progress = Progress.auto
    color: str = "auto"
    plain_http: tuple[str, ...] = ()
    ca_file: Path | None = None

    @contextmanager
    def reporter(self) -> Iterator[Reporter]:
        """Give who shows events."""
        from regkit.cli.render import rendering

        with rendering(self.progress.value, quiet=self.quiet, verbose=self.verbose, color=self.color) as report:
            yield report

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session with the user's credentials, that shows what happens."""
        from regkit.transport.credentials import Credentials
        from regkit.transport.session import Session

        with (
            self.reporter() as report,
            Session(
                Credentials.load(os.environ), plain_http=self.plain_http, ca_file=self.ca_file, report=report
            ) as session,
        ):
            yield session


def globals_of(ctx: typer.Context) -> Globals:
    """Give the options before the command's name."""
    found = ctx.find_object(Globals)
    return found or Globals()


def lines_of(variable: str) -> list[str]:
    """Read a list from the environment, an item a line: click would part it at spaces, which values may hold."""
    return [line for line in os.environ.get(variable, "").splitlines() if line.strip()]
