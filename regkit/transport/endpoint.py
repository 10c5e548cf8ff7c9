"""A web API beside a registry: one origin with an authorization of its own, and nothing leaves that origin."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from regkit.errors import ProtocolError, RegkitError, Unavailable, UsageError
from regkit.oci.reference import is_loopback
from regkit.protocol.flow import Flow, Request, Response, drive
from regkit.protocol.redirect import follow
from regkit.protocol.retry import MAX_DELAY, Outcome, retry_after, wants_retry
from regkit.transport.session import Session

T = TypeVar("T")


class Authorizer(Protocol):
    """Adds to a request what the API wants to see; what it yields goes to the endpoint's own origin as well."""

    def authorized(self, request: Request) -> Flow[Response]:
        """Send a request, authorized."""
        ...


class Endpoint:
    """Runs flows against the API at `base` (`https://host[:port][/prefix]`), below which their paths are.

    Its requests carry what `authority` adds, never a registry's token. A redirect or a page that leads to another
    origin is a ProtocolError. Where the API says when it can be asked again, all threads wait for it.
    """

    def __init__(self, session: Session, base: str, authority: Authorizer) -> None:
        self.base = check_base(base, session)
        self._session, self._authority = session, authority
        parts = urlsplit(self.base)
        self._origin, self.host = f"{parts.scheme}://{parts.netloc}", parts.netloc
        self._free = 0.0
        self._lock = threading.Lock()

    def run(self, flow: Flow[T]) -> T:
        """Run a flow; raise what it raises, Unavailable where the API can't be reached."""
        return drive(flow, self._send)

    def _send(self, request: Request) -> Response:
        outcome = self._attempt(request)
        if wants_retry(request, outcome):
            outcome = self._session.send_again(self.host, request, outcome, self._attempt)
        if isinstance(outcome, RegkitError):
            raise outcome
        return outcome

    def _attempt(self, request: Request) -> Outcome:
        left = self._free - self._session.now()
        if left > 0:
            self._session.sleep(left)
        try:
            response = drive(follow(self._absolute(request)), self._authorized)
        except Unavailable as error:
            return error
        asked = retry_after(response.headers.get("retry-after"), self._session.now())
        if asked is not None and asked <= MAX_DELAY:
            with self._lock:
                self._free = max(self._free, self._session.now() + asked)
        return response

    def _authorized(self, request: Request) -> Response:
        return drive(self._authority.authorized(request), self._at_home)

    def _at_home(self, request: Request) -> Response:
        absolute = self._absolute(request)
        if not absolute.url.startswith(f"{self._origin}/"):
            raise ProtocolError(f"{self.host} leads to another origin: {urlsplit(absolute.url).netloc[:200]!r}")
        return self._session.send(absolute)

    def _absolute(self, request: Request) -> Request:
        return replace(request, url=f"{self.base}{request.url}") if request.url.startswith("/") else request


def check_base(text: str, session: Session) -> str:
    """Give an API's address without its last slash; raise UsageError for what a login may not be sent to."""
    hint = "write https://HOST[:PORT][/PATH]"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port == 0 or parts.scheme not in ("https", "http"):
        raise UsageError(f"not an API's address: {text[:200]!r}", hint=hint)
    if "@" in parts.netloc:
        raise UsageError("an API's address holds no user and no password", hint=hint)
    if parts.query or parts.fragment:
        raise UsageError(f"an API's address ends with its path: {text[:200]!r}", hint=hint)
    if parts.scheme == "http" and not is_loopback(parts.netloc) and parts.netloc not in session.plain_http:
        raise UsageError(
            f"a login isn't sent in the clear: {text[:200]!r}",
            hint=f"write https://, or add --plain-http {parts.netloc}",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
