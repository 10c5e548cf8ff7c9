"""A connection by way of an HTTP proxy: httpx's, which knows how proxies are asked."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from regkit.transport.sockets import CONNECT_LIMIT, Sockets
from regkit.transport.wire import CantConnectError, CantSendError, Message, TimedOutError, UntrustedError, WireError


class Proxied:
    """A connection by way of `proxy` (`http[s]://[USER:PASSWORD@]HOST[:PORT]`)."""

    def __init__(self, context: ssl.SSLContext, proxy: str, sockets: Sockets, keepalive: float) -> None:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=keepalive)
        self._transport = httpx.HTTPTransport(verify=context, limits=limits, proxy=proxy)
        self._sockets = sockets

    def exchange(self, message: Message) -> ProxiedAnswer:
        """Send a request and give its answer; raise WireError, and what reading the body raises."""
        timeout = {"connect": CONNECT_LIMIT, "read": message.read, "write": message.write, "pool": None}
        with _translated():
            request = httpx.Request(
                message.method,
                message.url,
                headers=message.fields,
                content=message.body if "Content-Length" in message.headers else None,
                extensions={"trace": self._watch, "timeout": timeout},
            )
            return ProxiedAnswer(self._transport.handle_request(request))

    def close(self) -> None:
        """Close it."""
        self._transport.close()

    def _watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Have each socket ended by an abort, and again when TLS takes it over."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.watch(info["return_value"].get_extra_info("socket"))


class ProxiedAnswer:
    """An answer that came by way of a proxy."""

    def __init__(self, answer: httpx.Response) -> None:
        assert isinstance(answer.stream, httpx.SyncByteStream)
        self._stream = answer.stream
        self.status = answer.status_code
        self.headers: Sequence[tuple[str, str]] = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.raw
        ]

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            yield from self._stream

    def close(self) -> None:
        """Be done with it."""
        self._stream.close()


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
