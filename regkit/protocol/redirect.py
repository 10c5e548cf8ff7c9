"""Redirects, as a flow around a request: reads are followed, writes only where their body may be sent again."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from regkit.errors import ProtocolError
from regkit.protocol.auth import locality
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
        target = response.absolute(location)
        if request.method not in ("GET", "HEAD") and response.status not in (307, 308):
            raise ProtocolError(f"{urlsplit(response.url).netloc} answered {request.method} with {response.status}")
        if urlsplit(response.url).scheme == "https" and urlsplit(target).scheme != "https":
            raise ProtocolError(f"{urlsplit(response.url).netloc} redirects from https to {target[:200]!r}")
        request = replace(request, url=target)
    raise ProtocolError(f"{urlsplit(response.url).netloc} redirects without end")


def check_elsewhere(origin: str, url: str) -> None:
    """Raise ProtocolError where a registry at `origin` leads to an address that no registry may lead to.

    From https into the clear; and from elsewhere to this machine, or to a link-local address, where clouds keep their
    machines' secrets. A private network's storage behind a registry with a public name is left alone.
    """
    here, there = urlsplit(origin), urlsplit(url)
    if here.scheme == "https" and there.scheme != "https":
        raise ProtocolError(f"{here.netloc} leads to an address without https: {url[:200]!r}")
    where = locality(there.hostname or "")
    if where in ("loopback", "link-local") and where != locality(here.hostname or ""):
        raise ProtocolError(f"{here.netloc} leads to a {where} address, and isn't at one: {url[:200]!r}")
