"""Redirects, as a flow around a request: reads are followed, writes only where their body may be sent again."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urljoin, urlsplit

from regkit.errors import ProtocolError
from regkit.protocol.flow import Flow, Request, Response

MAX_HOPS = 5


def follow(request: Request) -> Flow[Response]:
    """Send a request where it is sent to; raise ProtocolError where that would lose its body or its encryption.

    Whoever drives this adds credentials for the registry's own origin only.
    """
    for _ in range(MAX_HOPS + 1):
        response = yield request
        location = response.headers.get("location")
        if response.status not in (301, 302, 303, 307, 308) or location is None:
            return response
        target = urljoin(response.url, location)
        if request.method not in ("GET", "HEAD") and response.status not in (307, 308):
            raise ProtocolError(f"{urlsplit(response.url).netloc} answered {request.method} with {response.status}")
        if urlsplit(response.url).scheme == "https" and urlsplit(target).scheme != "https":
            raise ProtocolError(f"{urlsplit(response.url).netloc} redirects from https to {target[:200]!r}")
        request = replace(request, url=target)
    raise ProtocolError(f"{urlsplit(response.url).netloc} redirects without end")
