"""Warnings: what a registry wants people to know (distribution-spec, Warnings)."""

from __future__ import annotations

import re

from regkit.protocol.flow import printable

MAX_WARNINGS = 20
"""How many different warnings of one registry are shown."""

# Only 299, without an agent and a date, is a registry's own word; a proxy's warnings look different.
_WARNING = re.compile(r'(?:^|,)\s*299 - "((?:[^"\\]|\\.)*)"\s*(?=,|$)')


def read_warnings(value: str) -> tuple[str, ...]:
    """Give the texts of a `Warning` header, safe to show; what the specification doesn't describe is left out."""
    texts = (printable(re.sub(r"\\(.)", r"\1", text)).strip() for text in _WARNING.findall(value))
    return tuple(text for text in texts if text)
