"""What goes over one connection and comes back, and how that fails, whichever library carries it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlsplit

_SAFE = "%!$&'()*+,/:;=?@[]~"
"""What stays as it is in a path and a query, beside letters, digits and `-._` (RFC 3986, 3.3 and 3.4)."""

PORTS = {"http": 80, "https": 443}
"""The ports that a scheme implies."""
_NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._:%")


class WireError(Exception):
    """The connection broke, or what came is no answer; the text says how."""


class CantConnectError(WireError):
    """There is no connection."""


class UntrustedError(CantConnectError):
    """The certificate isn't one that is trusted, or isn't this host's."""


class ProxyError(CantConnectError):
    """The proxy on the way isn't there, or lets nothing through; the text names it, and the hint says what to do.

    `transient` is false where trying again is no use.
    """

    def __init__(self, text: str, hint: str, *, transient: bool) -> None:
        super().__init__(text)
        self.hint, self.transient = hint, transient


class TimedOutError(WireError):
    """Nothing came, or nothing was taken, for as long as one waits."""


class CantSendError(WireError):
    """What can't be said: a header over two lines, an address that is none."""


class Origin(NamedTuple):
    """Who is asked: a scheme, `http` or `https`, a host and a port."""

    scheme: str
    host: str
    port: int


class Message(NamedTuple):
    """A request: its headers without `Host`, its body in pieces; `read` and `write` are limits in seconds."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: Iterator[bytes]
    read: float
    write: float

    @property
    def origin(self) -> Origin:
        """Give who is asked; raise CantSendError for an address that is none."""
        return origin_of(self.url)

    @property
    def target(self) -> str:
        """Give path and query; what can't stand in an address is escaped, and escapes stay as they are."""
        parts = urlsplit(self.url)
        return quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_SAFE)

    @property
    def host(self) -> str:
        """Give the value of `Host` (RFC 9110, 7.2), without a port that the scheme implies."""
        scheme, host, port = self.origin
        name = f"[{host}]" if ":" in host else host
        return name if port == PORTS[scheme] else f"{name}:{port}"

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """Give all headers; raise CantSendError for a value over two lines, and don't show it: it may be secret."""
        for name, value in self.headers.items():
            if not (value.isascii() and value.isprintable()):
                raise CantSendError(f"its header {name} has characters that can't be sent")
        return ("Host", self.host), *self.headers.items()


class Answer(Protocol):
    """An answer, whose body is still to be read; closing it gives the connection free."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """The headers as they came, a name maybe several times."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """Give the body in pieces; raise WireError."""
        ...

    def close(self) -> None:
        """Be done with it."""
        ...


class Connection(Protocol):
    """A connection to one origin, for one request at a time, until its answer is closed."""

    def exchange(self, message: Message) -> Answer:
        """Send a request and give its answer; raise WireError, and what reading the body raises."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


def origin_of(url: str) -> Origin:
    """Give who an absolute URL asks; raise CantSendError for an address that is none."""
    if not url.isprintable():
        raise CantSendError("its address has characters that can't be printed")
    try:
        parts = urlsplit(url)
        port = PORTS[parts.scheme] if parts.port is None else parts.port
    except (ValueError, KeyError):
        raise CantSendError(f"not an address of HTTP: {url[:200]!r}") from None
    if "@" in parts.netloc:
        raise CantSendError("its address holds a login")  # which nobody gives away (RFC 9110, 4.2.4)
    host = parts.hostname or ""
    labels = host.removesuffix(".").split(".")
    if not (port and _NAMES.issuperset(host) and all(0 < len(label) < 64 for label in labels)):
        raise CantSendError(f"not a host's name and port: {parts.netloc[:200]!r}")
    return Origin(parts.scheme, host, port)
