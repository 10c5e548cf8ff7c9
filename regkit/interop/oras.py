"""The bridge to oras-py: its client, ready for a registry that a Session knows.

oras-py looks for credentials by itself, sends one token for everything and asks again with what was just refused. So
its client gets only requests that are signed already: with the Session's login, a token for exactly what each asks,
and to nobody but the registry.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from regkit.errors import RegkitError
from regkit.protocol.auth import Authority, Login
from regkit.protocol.flow import Flow, Request, Response, Scope, drive, expect
from regkit.transport.http import Http

if TYPE_CHECKING:
    from regkit.transport.session import Session

TOKEN_AGE = 45.0
"""For how many seconds a token is used again: services give them for 60 or more (distribution, token)."""

_NAME = re.compile(r"/v2/(.+)/(?:blobs|manifests|tags|referrers)/")


def client(session: Session, host: str, *, now: Callable[[], float] = time.monotonic) -> Any:
    """Give an `oras.client.OrasClient` for `host`: with the session's login, its authorities, and plain http or TLS.

    What the client is asked for is named `repository:tag`, or with the client's own `hostname` before it. Its errors
    are oras-py's, save `oras.auth.AuthenticationException` for a login that the registry refuses. Raise Unavailable
    where nothing answers.
    """
    import oras.auth  # type: ignore[import-untyped]  # oras-py has no types
    import oras.client  # type: ignore[import-untyped]

    origin, challenge = session.run(host, _greet())
    parts = urlsplit(origin)
    refused = oras.auth.AuthenticationException
    signer = Signer(session, host, origin=origin, challenge=challenge, now=now, failure=refused)
    made = oras.client.OrasClient(hostname=parts.netloc, insecure=parts.scheme == "http")
    made.session.mount("https://", _adapter(session))
    made.session.auth = signer.sign
    made.auth.load_configs = lambda *_args, **_kwargs: None
    made.auth.authenticate_request = signer.refused
    return made


class Signer:
    """Adds to each request of another client what the registry wants to see."""

    def __init__(
        self,
        session: Session,
        host: str,
        *,
        origin: str,
        challenge: str,
        now: Callable[[], float],
        failure: type[Exception],
    ) -> None:
        self._session, self._host, self._origin, self._challenge = session, host, origin, challenge
        self._now, self._failure = now, failure
        self._forget()

    def sign(self, request: Any) -> Any:
        """Sign a `requests.PreparedRequest` to the registry; any other is left as it is."""
        if request.url.startswith(f"{self._origin}/") and (header := self._header(request.method, request.url)):
            request.headers["Authorization"] = header
        return request

    def refused(self, answer: Any, headers: dict[str, str] | None, refresh: bool = False) -> tuple[Any, bool]:  # noqa: FBT001, FBT002 - oras-py's signature
        """Take a 401 or 403: what was known is forgotten, and the request may be sent again."""
        del refresh
        self._challenge = answer.headers.get("Www-Authenticate") or self._challenge
        self._forget()
        return headers or {}, True

    def _forget(self) -> None:
        self._authority = Authority(self._login, secure=self._origin.startswith("https:"))
        self._since = self._now()

    def _login(self, repository: str) -> Login | None:
        return self._session.credentials.for_host(self._host, repository)

    def _header(self, method: str, url: str) -> str | None:
        """Let the authority sign a request that is never sent: it's shown the challenge, and asked what it adds."""
        if not self._challenge:
            return None
        if self._now() - self._since > TOKEN_AGE:
            self._forget()
        signed: list[str] = []

        def answer(request: Request) -> Response:
            if request.url != url:
                return self._ask_token_service(request)
            if "Authorization" not in request.headers:
                return Response(401, {"www-authenticate": self._challenge}, url=url)
            signed.append(request.headers["Authorization"])
            return Response(200)

        try:
            drive(self._authority.authorized(Request(method, url, scope=_scope(method, url))), answer)
        except RegkitError as error:
            # The one exception after which oras-py doesn't wait for minutes and try again.
            raise self._failure(error.message) from error
        return signed[-1] if signed else None

    def _ask_token_service(self, request: Request) -> Response:
        http = Http(self._session.ca_file)
        try:
            return http.send(request)
        finally:
            http.close()


def _greet() -> Flow[tuple[str, str]]:
    """Ask `/v2/`, as nobody: give the registry's origin, and its challenge or nothing."""
    response = yield Request("GET", "/v2/", scope=Scope("", ""))
    expect(response, 200, 401, what="speak to the registry")
    parts = urlsplit(response.url)
    return f"{parts.scheme}://{parts.netloc}", response.headers.get("www-authenticate", "")


def _scope(method: str, url: str) -> Scope | None:
    name = _NAME.match(urlsplit(url).path)
    if name is None:
        return None
    actions = {"GET": "pull", "HEAD": "pull", "DELETE": "delete,pull,push"}.get(method, "pull,push")
    return Scope(name[1], actions)


def _adapter(session: Session) -> Any:
    """Trust whom the session trusts: the system's authorities, and those of its file."""
    import requests.adapters

    context = ssl.create_default_context()
    if session.ca_file is not None:
        context.load_verify_locations(session.ca_file)

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
            return super().init_poolmanager(*args, **kwargs, ssl_context=context)

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            return super().proxy_manager_for(*args, **kwargs, ssl_context=context)

    return Adapter()
