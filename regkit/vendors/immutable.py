"""Which tags are immutable: by a vendor's rules over their names, or by what its list says of each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from regkit.vendors.vendor import VendorTag


def matching(rules: Iterable[object], tags: Iterable[str]) -> frozenset[str]:
    """Give the tags that a rule matches; a rule that can't be read matches all, since it may protect any."""
    wanted = frozenset(tags)
    found: set[str] = set()
    for rule in rules:
        try:
            pattern = re.compile(rule) if isinstance(rule, str) else re.compile("")
        except re.error:
            return wanted
        found.update(tag for tag in wanted if pattern.search(tag))
    return frozenset(found)


def marked(listed: Iterable[VendorTag], tags: Iterable[str]) -> frozenset[str]:
    """Give those of `tags` that the vendor's list says are immutable."""
    wanted = frozenset(tags)
    return frozenset(tag.name for tag in listed if tag.immutable and tag.name in wanted)
