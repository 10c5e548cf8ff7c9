"""A connection by way of an HTTP proxy: httpx's, which knows how proxies are asked.

What goes wrong before a request is on its way to its server is the proxy's: errors name it then, never its login.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

from regkit.transport.sockets import CONNECT_LIMIT, Sockets
from regkit.transport.strict import Patience
from regkit.transport.wire import (
    PORTS,
    CantConnectError,
    CantSendError,
    Message,
    ProxyError,
    TimedOutError,
    UntrustedError,
    WireError,
)

_ON_ITS_WAY = {"http": "http11.send_request_headers.started", "https": "proxy.start_tls.started"}
"""What httpx does, by the URL's scheme, when the proxy is there and, for TLS, has opened a tunnel."""

_LOGIN_WANTED = 407
_HINT = "HTTP_PROXY, HTTPS_PROXY and ALL_PROXY say which proxy is asked, NO_PROXY which hosts need none"


class Proxied:
    """A connection by way of `proxy` (`http[s]://[USER:PASSWORD@]HOST[:PORT]`)."""

    def __init__(self, context: ssl.SSLContext, proxy: str, sockets: Sockets, keepalive: float) -> None:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=keepalive)
        parts = urlsplit(proxy)
        asked = httpx.Proxy(proxy, ssl_context=context if parts.scheme == "https" else None)
        self._transport = httpx.HTTPTransport(verify=context, limits=limits, proxy=asked)
        self._sockets = sockets
        self._login, _, place = parts.netloc.rpartition("@")
        self._proxy = place if parts.port else f"{place.removesuffix(':')}:{PORTS[parts.scheme]}"
        self._scheme = ""
        self._is_on_its_way = False

    def exchange(self, message: Message) -> ProxiedAnswer:
        """Send a request and give its answer; raise WireError, and what reading the body raises."""
        timeout = {"connect": CONNECT_LIMIT, "read": message.read, "write": message.write, "pool": None}
        self._scheme = message.origin.scheme
        with self._blamed(), _translated():
            request = httpx.Request(
                message.method,
                message.url,
                headers=message.fields,
                content=message.body if "Content-Length" in message.headers else None,
                extensions={"trace": self._watch, "timeout": timeout},
            )
            answer = self._transport.handle_request(request)
        proxied = ProxiedAnswer(answer, Patience(message.read))
        if answer.status_code == _LOGIN_WANTED and self._scheme == "http":  # in a tunnel it's the server's own
            proxied.close()
            raise self._refusal(str(_LOGIN_WANTED))
        return proxied

    def close(self) -> None:
        """Close it."""
        self._transport.close()

    def _watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Have each socket ended by an abort, and again when TLS takes it over; see whom a failure is laid to."""
        if event == "connection.connect_tcp.started":
            self._is_on_its_way = False
        elif event == _ON_ITS_WAY[self._scheme]:
            self._is_on_its_way = True
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.watch(info["return_value"].get_extra_info("socket"))

    @contextlib.contextmanager
    def _blamed(self) -> Iterator[None]:
        """Turn what goes wrong with the proxy itself into a ProxyError."""
        try:
            yield
        except CantSendError:
            raise
        except WireError as error:
            if self._is_on_its_way:
                raise
            if isinstance(error.__cause__, httpx.ProxyError):
                raise self._refusal(str(error)) from error
            raise self._failure(error) from error

    def _refusal(self, said: str) -> ProxyError:
        """Give what it means that the proxy answered with such a status line."""
        if said.startswith(str(_LOGIN_WANTED)):
            wish = "doesn't accept the login that its address holds" if self._login else "wants a login"
            hint = f"it goes into the proxy's address, as USER:PASSWORD@{self._proxy}, with %40 for an @ in it"
            return ProxyError(f"the proxy {self._proxy} {wish}", hint, transient=False)
        return ProxyError(f"the proxy {self._proxy} answered {said[:100]}", _HINT, transient=not said.startswith("4"))

    def _failure(self, error: WireError) -> ProxyError:
        untrusted = isinstance(error, UntrustedError)
        if untrusted:
            text = f"the proxy {self._proxy} has a certificate that isn't trusted: {error}"
        elif isinstance(error, TimedOutError):
            text = f"the proxy {self._proxy} didn't answer in time"
        elif isinstance(error, CantConnectError):
            text = f"no connection to the proxy {self._proxy}: {error}"
        else:
            text = f"the connection to the proxy {self._proxy} broke: {error}"
        return ProxyError(text, _HINT, transient=not untrusted)


class ProxiedAnswer:
    """An answer that came by way of a proxy."""

    def __init__(self, answer: httpx.Response, patience: Patience) -> None:
        assert isinstance(answer.stream, httpx.SyncByteStream)
        self._stream, self._patience = answer.stream, patience
        self.status = answer.status_code
        self.headers: Sequence[tuple[str, str]] = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.raw
        ]

    def __iter__(self) -> Iterator[bytes]:
        pieces = iter(self._stream)
        while (piece := self._next(pieces)) is not None:
            yield piece

    def close(self) -> None:
        """Be done with it."""
        self._stream.close()

    def _next(self, pieces: Iterator[bytes]) -> bytes | None:
        begun = time.monotonic()
        with _translated():
            piece = next(pieces, None)
        try:
            self._patience.spend(time.monotonic() - begun, len(piece or b""))
        except TimeoutError as error:
            raise TimedOutError(str(error)) from error
        return piece


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise CantSendError(str(error)) from error
    except httpx.ConnectTimeout as error:
        raise CantConnectError(f"no connection within {CONNECT_LIMIT:.0f} s") from error
    except httpx.ConnectError as error:
        _, untrusted, reason = str(error).partition("certificate verify failed: ")
        if untrusted:
            raise UntrustedError(reason.partition(" (_ssl")[0]) from error
        raise CantConnectError(str(error)) from error
    except httpx.TimeoutException as error:
        raise TimedOutError(str(error)) from error
    except httpx.TransportError as error:
        raise WireError(str(error) or type(error).__name__) from error
