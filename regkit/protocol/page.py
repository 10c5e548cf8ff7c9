"""Paging by `Link` (distribution-spec, Listing Tags; RFC 8288)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from regkit.errors import ProtocolError
from regkit.protocol.flow import Response

MAX_PAGES = 10_000
# What is read for one `<` isn't read again for the next: a header of 100 KB would take minutes.
_NEXT = re.compile(r'<([^<>]*)>\s*(?:;[^,<]*)?;\s*rel="?next\b(?!-)"?', re.IGNORECASE)


def next_page(response: Response, seen: set[str]) -> str | None:
    """Give the next page's absolute URL, or None on the last one.

    Raise ProtocolError where it leads to another origin, comes again, or there are too many.
    """
    match = _NEXT.search(response.headers.get("link", ""))
    if match is None:
        return None
    url = response.absolute(match.group(1))
    if urlsplit(url)[:2] != urlsplit(response.url)[:2]:
        raise ProtocolError(f"a page's Link leads away from {urlsplit(response.url).netloc}")
    if url in seen or len(seen) >= MAX_PAGES:
        raise ProtocolError(f"the pages of {urlsplit(response.url).netloc} never end")
    seen.add(url)
    return url
