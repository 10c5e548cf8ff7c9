"""Options that several commands, or groups of options, share; declared once."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from regkit.config.kinds import Read

T = TypeVar("T")


class Attesting(Enum):
    """What becomes of attestations that are there."""

    keep = "keep"
    strip = "strip"


def read_commit(text: str) -> str:
    """Take a commit, or nothing where a CI's variable is empty; raise UsageError for what can't be one."""
    if text:
        from regkit.ops.source import short_commit

        short_commit(text)
    return text


def read_as(option: str, kind: Read[T], text: str) -> T:
    """Read an option as the configuration's key of that name is; raise UsageError for what can't be."""
    from regkit.config.table import Wrong
    from regkit.errors import UsageError

    try:
        return kind(text, Path())
    except Wrong as wrong:
        raise UsageError(f"{option} isn't {wrong}: {text[:80]!r}") from None
    except UsageError as error:
        raise UsageError(f"{option}: {error.message}", hint=error.hint) from None


Images = Annotated[
    list[str] | None,
    typer.Option(
        envvar="REGKIT_IMAGE",
        metavar="NAME",
        help="The repository to publish to; repeatable: the same goes to all.",
    ),
]
Platforms = Annotated[
    list[str] | None,
    typer.Option(
        envvar=["REGKIT_PLATFORM", "DOCKER_PLATFORMS"],
        metavar="LIST",
        help="os/arch[/variant], comma-separated or repeated; the builder's own by default.",
    ),
]
Commit = Annotated[
    str | None,
    typer.Option(parser=read_commit, envvar="REGKIT_COMMIT", metavar="SHA", help="By default what CI or git say."),
]
Annotations = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[LEVEL[PLATFORM]:]KEY=VALUE",
        help="At index (default), index-descriptor, manifest or manifest-descriptor; repeatable; REGKIT_ANNOTATION "
        "holds one a line.",
    ),
]
KeepOrStrip = Annotated[
    Attesting,
    typer.Option(
        "--attestations", envvar="REGKIT_ATTESTATIONS", help="Keep, or leave out, provenance and SBOMs that are there."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", envvar="REGKIT_DRY_RUN", help="Print the plan, change nothing.")]
