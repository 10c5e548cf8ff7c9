"""The question before something is removed: asked on a terminal; elsewhere somebody must have said yes beforehand."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from regkit.cli.output import safe

if TYPE_CHECKING:
    from regkit.events import Reporter


def confirm(
    lines: Iterable[str], doing: str, question: str, *, report: Reporter | None = None, hint: str = "add --yes"
) -> None:
    """Show what will be removed, and ask; raise UsageError for a no, or where nobody can be asked.

    `report` hears that an answer is waited for: nothing may move on the screen meanwhile.
    """
    from regkit.errors import UsageError
    from regkit.events import StageStarted

    asked = sys.stdin.isatty()
    if asked and report is not None:
        report(StageStarted("ask", "waiting for an answer"))
    sys.stderr.writelines(f"{safe(line)}\n" for line in lines)
    if not asked:
        raise UsageError(f"{doing} needs a confirmation, and nobody can be asked here", hint=hint)
    if not typer.confirm(question, err=True):
        raise UsageError("nothing was removed", hint="add --yes to remove without a question")
