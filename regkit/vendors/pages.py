"""Lists in pages, as several vendors' APIs give them: a JSON array, and `Link` to the next (RFC 8288)."""

from __future__ import annotations

from typing import Any

from regkit.oci.manifest import MAX_SIZE
from regkit.protocol.flow import Flow, Request
from regkit.protocol.page import next_page
from regkit.vendors.answer import expect, items_of


def pages(url: str, *, what: str, scope: str) -> Flow[list[dict[str, Any]] | None]:
    """Read all pages of a list of objects; None of one that isn't there. `what` and `scope` are for `expect`."""
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    following: str | None = url
    while following is not None:
        response = yield Request("GET", following)
        if response.status == 404 and not seen:
            return None
        found += items_of(expect(response, 200, what=what, scope=scope).json(MAX_SIZE), response)
        following = next_page(response, seen)
    return found
