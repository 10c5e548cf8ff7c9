"""Which tags are immutable: by a vendor's rules over their names, or by what it says of each."""

from __future__ import annotations

import re
from collections.abc import Iterable

from regkit.protocol.flow import Flow
from regkit.vendors.vendor import Vendor


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


def marked(vendor: Vendor, repository: str, tags: Iterable[str]) -> Flow[frozenset[str]]:
    """Give those of `tags` that the vendor's list says are immutable.

    A tag that the list lacks is asked for by itself: while its pages are read they move on with each tag that goes.
    """
    wanted = frozenset(tags)
    listed = yield from vendor.list_tags(repository)
    found = {tag.name for tag in listed if tag.immutable and tag.name in wanted}
    for name in sorted(wanted.difference(tag.name for tag in listed)) if listed else ():
        tag = yield from vendor.look_up_tag(repository, name)
        if tag is not None and tag.immutable:
            found.add(name)
    return frozenset(found)
