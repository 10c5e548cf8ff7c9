"""Plans in files: JSON of a schema, read before anything is believed of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from regkit.errors import UsageError
from regkit.protocol.flow import read_bounded

SCHEMA = 1
"""The schema of every plan that is written."""

MAX_SIZE = 64 << 20
"""How large a plan may be, in bytes."""


def read_plan(path: Path, what: str, holds: str, kind: type, again: str) -> dict[str, Any]:
    """Read a file; raise UsageError unless it's a plan of this schema, with something of a `kind` under `holds`.

    `what` is what the plan is called, `again` the hint how it is made.
    """
    try:
        with path.open("rb") as file:
            raw = read_bounded(file, MAX_SIZE)
        document = None if raw is None else json.loads(raw)
    except OSError as error:
        raise UsageError(f"the plan {path} can't be read: {error.strerror}", hint=again) from None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get(holds), kind):
        raise UsageError(f"{path} isn't {what}", hint=again)
    if document.get("schema") != SCHEMA:
        raise UsageError(f"{path} is a plan of the unknown schema {document.get('schema')!r}", hint=again)
    return document
