"""Connections: an open one is kept for the next request to the same origin.

One transport for each connection. In a shared pool of httpx every step looks at every connection for every request
that waits: with 24 threads that was 40 % of the client's time.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

with contextlib.ExitStack() as _stack:
    # httpx imports its own command line where click is installed, and rich with it: 45 ms that nobody here needs.
    if "click" not in sys.modules:
        sys.modules["click"] = None  # type: ignore[assignment]  # how to say "not installed"
        _stack.callback(sys.modules.pop, "click")
    import httpx

from regkit.errors import UsageError
from regkit.oci.reference import is_loopback
from regkit.transport.direct import KEEPALIVE, Direct
from regkit.transport.sockets import Sockets

__all__ = ["Connections", "httpx"]

MAX_IDLE = 64
_LIMITS = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE)


class Connections:
    """All that is open, shared by threads; `abort()` ends all that is under way."""

    def __init__(self, ca_file: Path | None = None, ca_files: Mapping[str, Path] | None = None) -> None:
        self._closed = False
        self._ca_file, self._ca_files = ca_file, ca_files or {}
        self._proxies = getproxies()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._idle: defaultdict[str, list[httpx.BaseTransport]] = defaultdict(list)
        self._sockets = Sockets()
        self._lock = threading.Lock()

    def take(self, url: str) -> httpx.BaseTransport:
        """Give a connection to the URL's origin, or one that will be made when it is used."""
        scheme, host = urlsplit(url)[:2]
        with self._lock:
            idle = self._idle[f"{scheme}://{host}"]
            if idle:
                return idle.pop()
            context = self._context(scheme, host)
        proxy = self._proxy(scheme, host)
        if proxy is not None:
            return httpx.HTTPTransport(verify=context, limits=_LIMITS, proxy=_checked(proxy, scheme))
        return Direct(context, self._sockets)

    def open_ahead(self, url: str) -> None:
        """Open a socket for a request to come, whose first bytes then wait for no handshake; failures don't matter."""
        parts = urlsplit(url)
        if self._proxy(parts.scheme, parts.netloc) is None and parts.hostname:
            port = parts.port or {"http": 80, "https": 443}[parts.scheme]
            with contextlib.suppress(OSError):
                self._sockets.open(parts.hostname, port)

    def give(self, url: str, transport: httpx.BaseTransport) -> None:
        """Take a connection back, whose last answer was read to its end."""
        scheme, host = urlsplit(url)[:2]
        with self._lock:
            idle = self._idle[f"{scheme}://{host}"]
            if len(idle) < MAX_IDLE and not self._closed:
                idle.append(transport)
                return
        transport.close()

    def abort(self) -> None:
        """Shut down every socket that was handed out: what waits for an answer fails at once."""
        self._sockets.abort()

    def close(self) -> None:
        """Close what is idle; what is in use now, when it's given back."""
        with self._lock:
            self._closed = True
            transports = [transport for idle in self._idle.values() for transport in idle]
            self._idle.clear()
        for transport in transports:
            transport.close()
        self._sockets.close()

    @property
    def aborted(self) -> bool:
        """Tell whether all was ended."""
        return self._sockets.aborted

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Know each socket that httpx opens towards a proxy, and again when TLS takes it over."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.watch(info["return_value"].get_extra_info("socket"))

    def _context(self, scheme: str, host: str) -> ssl.SSLContext:
        """Give the one context for a scheme; loading the CA store takes 15 ms, so only https pays for it, once.

        A host with authorities of its own has a context of its own: nobody else is trusted by them.
        """
        kind = host if scheme == "https" and host in self._ca_files else scheme
        if kind not in self._contexts:
            # Without the store no certificate is trusted.
            plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._contexts[kind] = self._trusting(self._ca_files.get(kind)) if scheme == "https" else plain
        return self._contexts[kind]

    def _trusting(self, own: Path | None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        for ca_file in filter(None, (self._ca_file, own)):
            try:
                context.load_verify_locations(ca_file)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"the CA file {ca_file} can't be used: {error}") from None
        return context

    def _proxy(self, scheme: str, host: str) -> str | None:
        """Read HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; loopback hosts never have one, as Docker does it."""
        if is_loopback(host) or proxy_bypass(host):
            return None
        proxy = self._proxies.get(scheme) or self._proxies.get("all")
        return f"http://{proxy}" if proxy and "://" not in proxy else proxy


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
