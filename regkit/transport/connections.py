"""Connections: an open one is kept for the next request to the same origin.

A thread takes one and gives it back. In a shared pool, as httpx has it, every step looks at every connection for every
request that waits: with 24 threads that was 40 % of the client's time.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from regkit.errors import UsageError
from regkit.transport.direct import KEEPALIVE, Direct
from regkit.transport.sockets import Sockets
from regkit.transport.wire import CantSendError, Connection, origin_of

MAX_IDLE = 64


class Connections:
    """All that is open, shared by threads; `abort()` ends all that is under way."""

    def __init__(self, ca_file: Path | None = None, ca_files: Mapping[str, Path] | None = None) -> None:
        self._closed = False
        self._ca_file, self._ca_files = ca_file, ca_files or {}
        self._proxies = _proxies_of_the_environment()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._idle: defaultdict[str, list[Connection]] = defaultdict(list)
        self._sockets = Sockets()
        self._lock = threading.Lock()

    def take(self, url: str) -> Connection:
        """Give a connection to the URL's origin, or one that will be made when it is used."""
        scheme, host = urlsplit(url)[:2]
        with self._lock:
            idle = self._idle[f"{scheme}://{host}"]
            if idle:
                return idle.pop()
            proxy = self._proxy(url)
            if proxy is None:
                return Direct(self._context(host) if scheme == "https" else None, self._sockets)
            context = self._context(host)
        from regkit.transport.proxied import Proxied  # httpx takes 50 ms: only a proxy pays for it

        return Proxied(context, _checked(proxy, scheme), self._sockets, KEEPALIVE)

    def open_ahead(self, url: str) -> None:
        """Open a socket for a request to come, whose first bytes then wait for no handshake; failures don't matter."""
        with contextlib.suppress(OSError, CantSendError):
            if self._proxy(url) is None:
                origin = origin_of(url)
                self._sockets.open(origin.host, origin.port)

    def give(self, url: str, connection: Connection) -> None:
        """Take a connection back, whose last answer was read to its end."""
        scheme, host = urlsplit(url)[:2]
        with self._lock:
            idle = self._idle[f"{scheme}://{host}"]
            if len(idle) < MAX_IDLE and not self._closed:
                idle.append(connection)
                return
        connection.close()

    def abort(self) -> None:
        """Shut down every socket that was handed out: what waits for an answer fails at once."""
        self._sockets.abort()

    def close(self) -> None:
        """Close what is idle; what is in use now, when it's given back."""
        with self._lock:
            self._closed = True
            connections = [connection for idle in self._idle.values() for connection in idle]
            self._idle.clear()
        for connection in connections:
            connection.close()
        self._sockets.close()

    @property
    def aborted(self) -> bool:
        """Tell whether all was ended."""
        return self._sockets.aborted

    def _context(self, host: str) -> ssl.SSLContext:
        """Give the one context for all hosts; loading the CA store takes 15 ms, so only TLS pays for it, once.

        A host with authorities of its own has a context of its own: nobody else is trusted by them.
        """
        kind = host if host in self._ca_files else ""
        if kind not in self._contexts:
            self._contexts[kind] = self._trusting(self._ca_files.get(kind))
        return self._contexts[kind]

    def _trusting(self, own: Path | None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        for ca_file in filter(None, (self._ca_file, own)):
            try:
                context.load_verify_locations(ca_file)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"the CA file {ca_file} can't be used: {error}") from None
        return context

    def _proxy(self, url: str) -> str | None:
        """Read HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; loopback hosts never have one, as Docker does it."""
        if not self._proxies:
            return None
        scheme, host, port = origin_of(url)
        proxy = self._proxies.get(scheme) or self._proxies.get("all")
        if not proxy:
            return None
        from regkit.transport.no_proxy import needs_no_proxy

        if needs_no_proxy(self._proxies.get("no", ""), host, port):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"


def _proxies_of_the_environment() -> dict[str, str]:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}
    from urllib.request import getproxies  # with half of the standard library

    return getproxies()


def _checked(proxy: str, scheme: str) -> str:
    """Give back a proxy's address; raise UsageError, which doesn't show it, where it isn't one: it may hold a login."""
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if usable:
        return proxy
    raise UsageError(
        f"the environment's proxy for {scheme} isn't at an address of the kind http://HOST:PORT, which alone is spoken",
        hint=f"set {scheme.upper()}_PROXY to such a one, or name the hosts that need none in NO_PROXY",
    )
