"""How something is built, as the options and the configuration say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from regkit.cli.options import globals_of, lines_of

if TYPE_CHECKING:
    from regkit.build.means import Means


def means_of(
    ctx: typer.Context,
    builders: Sequence[str] | None,
    cache_from: Sequence[str] | None,
    cache_to: Sequence[str] | None,
    secrets: Sequence[str] | None,
) -> Means | None:
    """Read builders, caches and secrets; None where nothing is said of them.

    `--builder` counts, else `BUILDKIT_HOST`, else the configuration's `[builders]`.
    """
    given = builders or lines_of("REGKIT_BUILDER")
    configured = () if given or os.environ.get("BUILDKIT_HOST") else globals_of(ctx).config().builders
    said = [
        cache_from or lines_of("REGKIT_CACHE_FROM"),
        cache_to or lines_of("REGKIT_CACHE_TO"),
        secrets or lines_of("REGKIT_SECRET"),
    ]
    if not (given or configured or any(said)):
        return None
    from regkit.build.means import Means, parse_builder

    known = (*configured, *(parse_builder(text) for text in given))
    return Means.read(os.environ, builders=known, cache_from=said[0], cache_to=said[1], secrets=said[2])
