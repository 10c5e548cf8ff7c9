"""All quirks by name."""

from __future__ import annotations

from collections.abc import Mapping

from regkit.devregistry.quirks.deletion import DELETION
from regkit.devregistry.quirks.quirk import Quirk
from regkit.devregistry.quirks.reading import READING
from regkit.devregistry.quirks.traffic import TRAFFIC
from regkit.devregistry.quirks.uploads import UPLOADS
from regkit.errors import UsageError

QUIRKS: Mapping[str, Quirk] = {quirk.name: quirk for quirk in (*DELETION, *UPLOADS, *READING, *TRAFFIC)}
"""From the one nearest to the registry to the one that sees a request first."""

_MAX_NUMBER = 1 << 40


def parse_quirk(text: str) -> tuple[Quirk, int]:
    """Read `NAME` or `NAME=N`; give the quirk and its number, or raise UsageError."""
    name, equals, number = text.partition("=")
    quirk = QUIRKS.get(name)
    if quirk is None:
        raise UsageError(f"not a quirk: {name[:100]!r}", hint="`regkit registry quirks` lists them")
    if not equals:
        return quirk, quirk.number or 0
    if quirk.number is None:
        raise UsageError(f"the quirk {name} has no number", hint=f"write {name} alone")
    if not (number.isascii() and number.isdecimal()) or int(number) > _MAX_NUMBER:
        raise UsageError(f"not a number for the quirk {name}: {number[:100]!r}", hint=f"write {name}={quirk.number}")
    return quirk, int(number)
