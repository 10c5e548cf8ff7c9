"""Authorization, as a flow around a request (RFC 9110 §11; distribution, token authentication)."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from regkit.errors import ProtocolError
from regkit.protocol.flow import Flow, Request, Response, Scope, expect

TOKEN_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password; `origin` says where they came from, for people. The password is in no repr."""

    username: str
    password: str = field(repr=False)
    origin: str = ""

    @property
    def header(self) -> str:
        """The value of a Basic `Authorization`."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class Challenge(NamedTuple):
    """One challenge of a `WWW-Authenticate`: the scheme in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z0-9!#$%&\'*+.^_`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_TOKEN = re.compile(r"[!-~]+")
_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9-]*)(?=\s|,|$)(?!\s*=)")


def parse_challenges(value: str) -> Iterator[Challenge]:
    """Read a `WWW-Authenticate` header; what can't be read ends it."""
    position = 0
    while scheme := _SCHEME.match(value, position):
        position = scheme.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(value, position):
            position = parameter.end()
            name, quoted, plain = parameter.groups()
            parameters[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        yield Challenge(scheme.group(1).lower(), parameters)


class Authority:
    """What is known of one registry's authorization: its challenge and the tokens. Shared by threads."""

    def __init__(self, login: Login | None, *, secure: bool) -> None:
        self.login = login
        self._secure = secure
        self._lock = threading.Lock()
        self._basic = False
        self._bearer: Challenge | None = None
        self._tokens: dict[Scope | None, str] = {}

    def authorized(self, request: Request) -> Flow[Response]:
        """Send a request with what is known; answer a 401 once, with a fresh token, and send it again."""
        sent = self._known(request.scope)
        response = yield _with(request, sent)
        if response.status != 401:
            return response
        with self._lock:  # one thread asks for a token, the others find it
            known = self._known(request.scope)
            if known == sent:
                self._tokens = {scope: token for scope, token in self._tokens.items() if token != sent}
                known = yield from self._answer(response, request.scope)
        if known is None or known == sent:
            return response
        return (yield _with(request, known))

    def _known(self, scope: Scope | None) -> str | None:
        if self._basic and self.login is not None:
            return self.login.header
        exact = self._tokens.get(scope)
        if exact is not None or scope is None:
            return exact
        return next((token for other, token in self._tokens.items() if other and other.covers(scope)), None)

    def _answer(self, response: Response, scope: Scope | None) -> Flow[str | None]:
        challenges = {c.scheme: c for c in parse_challenges(response.headers.get("www-authenticate", ""))}
        if "bearer" in challenges:
            self._bearer = challenges["bearer"]
            token = yield from self._fetch_token(self._bearer, scope)
            self._tokens = {**self._tokens, scope: token}  # replaced, not changed: other threads are reading it
        elif "basic" in challenges:
            self._basic = True
        return self._known(scope)

    def _fetch_token(self, challenge: Challenge, scope: Scope | None) -> Flow[str]:
        realm = challenge.parameters.get("realm", "")
        self._check_realm(realm)
        query = []
        if service := challenge.parameters.get("service"):
            query.append(("service", service))
        asked = scope.entries if scope else (challenge.parameters.get("scope", ""),)
        query += [("scope", wanted) for wanted in asked if wanted]
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        headers = {"Authorization": self.login.header} if self.login else {}
        response = yield Request("GET", url, headers)
        expect(response, 200, what="get a token")
        document = response.json(TOKEN_LIMIT)
        token = (document.get("token") or document.get("access_token")) if isinstance(document, dict) else None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise ProtocolError(f"the token service {urlsplit(realm).netloc} gave no token")
        return f"Bearer {token}"

    def _check_realm(self, realm: str) -> None:
        """Credentials go in the clear only where the registry itself is asked so."""
        parts = urlsplit(realm)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ProtocolError(f"the registry names a token service that isn't a URL: {realm[:200]!r}")
        if parts.scheme == "http" and self._secure:
            raise ProtocolError(f"the registry names a token service without https: {realm[:200]!r}")


def _with(request: Request, authorization: str | None) -> Request:
    if authorization is None:
        return request
    return replace(request, headers={**request.headers, "Authorization": authorization})
