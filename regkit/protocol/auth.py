"""Authorization, as a flow around a request (RFC 9110 §11; distribution, token authentication)."""

from __future__ import annotations

import base64
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import SplitResult, urlencode, urlsplit

from regkit.errors import ProtocolError
from regkit.protocol.flow import Bytes, Flow, Request, Response, Scope, expect

TOKEN_LIMIT = 1024 * 1024
TOKEN_USER = "<token>"  # noqa: S105 - a name: how credential helpers mark an identity token
_CLIENT = "regkit"
_NOBODY = Scope("", "")  # the scope of a request that goes without authorization, whatever is known


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password, or a token in the password's place. What is secret is in no repr.

    `origin` says where it came from, for people. An `identity_token` is what a token service takes instead of the
    password (OAuth2's refresh token); a `registry_token` is sent to the registry as it is.
    """

    username: str
    password: str = field(repr=False)
    origin: str = ""
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def header(self) -> str:
        """The value of a Basic `Authorization`."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


Lookup = Callable[[str], Login | None]
"""Finds the login for a repository of a registry; for the registry as a whole where that is ""."""


_AROUND_IPV4 = frozenset({0, 0x64FF9B << 64})
"""The first 96 bits of IPv6 addresses that stand for an IPv4 address: ::/96 (RFC 4291), 64:ff9b::/96 (RFC 6052)."""

_METADATA = frozenset(
    {"100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254", "metadata.google.internal", "metadata.goog"}
)
"""Where clouds tell their machines secrets, other than at link-local addresses: Alibaba, Azure, AWS, Google."""


class Challenge(NamedTuple):
    """One challenge of a `WWW-Authenticate`: the scheme in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


# No white space can be read in two ways: a header of 100 KB would take minutes.
_PARAMETER = re.compile(r'\s*(?:,\s*)?([A-Za-z0-9!#$%&\'*+.^_`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_TOKEN = re.compile(r"[!-~]+")
_SCHEME = re.compile(r"\s*(?:,\s*)?([A-Za-z][A-Za-z0-9-]*)(?=\s|,|$)(?!\s*=)")


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


def ask_challenges() -> Flow[tuple[Challenge, ...]]:
    """Ask `/v2/` without any authorization: what the registry demands; nothing where it lets everybody in."""
    response = yield Request("GET", "/v2/", scope=_NOBODY)
    if response.status == 401:
        return tuple(parse_challenges(response.headers.get("www-authenticate", "")))
    expect(response, 200, what="speak to the registry")
    return ()


class Authority:
    """What is known of one registry's authorization: its challenge and the tokens. Shared by threads.

    `login` is the login for all of the registry, or finds it; it is looked up when the registry asks for one.
    """

    def __init__(self, login: Login | Lookup | None, *, secure: bool) -> None:
        self._lookup = _always(login) if login is None or isinstance(login, Login) else login
        self._secure = secure
        self._lock = threading.Lock()
        self._basic = False
        self._bearer: Challenge | None = None
        self._tokens: dict[Scope | None, str] = {}
        self._service = ""
        self._renewed: dict[str, str] = {}

    def authorized(self, request: Request) -> Flow[Response]:
        """Send a request with what is known; answer a 401 once, with a fresh token, and send it again."""
        if request.scope == _NOBODY:
            return (yield request)
        sent = self._known(request.scope)
        response = yield _with(request, sent)
        if response.status != 401:
            return response
        with self._lock:  # one thread asks for a token, the others find it
            known = self._known(request.scope)
            if known == sent:
                self._tokens = {scope: token for scope, token in self._tokens.items() if token != sent}
                known = yield from self._answer(response, request)
        if known is None or known == sent:
            return response
        return (yield _with(request, known))

    def _login(self, scope: Scope | None) -> Login | None:
        return self._lookup(scope.repository if scope else "")

    def _known(self, scope: Scope | None) -> str | None:
        if not self._basic and self._bearer is None:
            return None  # nobody asked for a login yet
        login = self._login(scope)
        if login is not None and self._basic and login.password:
            return login.header
        if login is not None and self._bearer is not None and login.registry_token:
            return f"Bearer {login.registry_token}"
        exact = self._tokens.get(scope)
        if exact is not None or scope is None:
            return exact
        return next((token for other, token in self._tokens.items() if other and other.covers(scope)), None)

    def _answer(self, response: Response, request: Request) -> Flow[str | None]:
        challenges = {c.scheme: c for c in parse_challenges(response.headers.get("www-authenticate", ""))}
        scope = request.scope
        if "bearer" in challenges:
            self._bearer = challenges["bearer"]
            login = self._login(scope)
            if login is None or not login.registry_token:
                host = urlsplit(request.url).hostname or ""
                token = yield from self._fetch_token(self._bearer, scope, login, host)
                self._tokens = {**self._tokens, scope: token}  # replaced, not changed: other threads are reading it
        elif "basic" in challenges:
            self._basic = True
        return self._known(scope)

    def _fetch_token(self, challenge: Challenge, scope: Scope | None, login: Login | None, host: str) -> Flow[str]:
        realm = self._check_realm(challenge.parameters.get("realm", ""), host, secret=login is not None)
        query = []
        if service := challenge.parameters.get("service"):
            query.append(("service", service))
        asked = scope.entries if scope else (challenge.parameters.get("scope", ""),)
        query += [("scope", wanted) for wanted in asked if wanted]
        if login is not None and login.identity_token:
            known = self._renewed.get(login.identity_token, login.identity_token)
            response = yield _refresh(realm, query, known)
        else:
            headers = {"Authorization": login.header} if login is not None else {}
            response = yield Request("GET", _with_query(realm, query), headers)
        expect(response, 200, what="get a token")
        document = response.json(TOKEN_LIMIT)
        answer = document if isinstance(document, dict) else {}
        if login is not None and login.identity_token and isinstance(answer.get("refresh_token"), str):
            self._renewed[login.identity_token] = answer["refresh_token"]
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise ProtocolError(f"the token service {realm.netloc} gave no token")
        return f"Bearer {token}"

    def _check_realm(self, realm: str, host: str, *, secret: bool) -> SplitResult:
        """Give the token service's address, if a login may go there.

        In the clear only where the registry itself is asked so; to this machine and to private networks only where
        the registry is there itself; and to the service alone that the registry named first.
        """
        parts = _parse_realm(realm)
        if parts.scheme == "http" and self._secure:
            raise ProtocolError(f"the registry names a token service without https: {realm[:200]!r}")
        there, here = locality(parts.hostname or ""), locality(host)
        if there and there != here and (not here or "link-local" in (there, here)):
            raise ProtocolError(
                f"the registry {host} names a token service at a {there} address, and isn't at one: {realm[:200]!r}"
            )
        service = f"{parts.scheme}://{parts.netloc}".lower()
        self._service = self._service or service
        if secret and service != self._service:
            raise ProtocolError(
                f"the registry {host} named the token service {self._service} first, now {service}: that gets no login"
            )
        return parts


def locality(host: str) -> str:
    """Tell where a host is by its name or address alone: `loopback`, `link-local`, `private`, or "" for elsewhere.

    Where a cloud tells its machines secrets is link-local, whatever the address is.
    """
    import ipaddress  # only registries with a token service wait for it

    name = (host if host.isascii() else _plain(host)).lower().rstrip(".")
    try:  # resolvers take `127.1`, `0x7f.1` and `2130706433` for addresses too
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.IPv4Address(socket.inet_aton(name))
    except (OSError, UnicodeError):
        try:
            address = ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return _locality_of_name(name)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
        if int(address) >> 32 in _AROUND_IPV4 and int(address) > 1:
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if str(address) in _METADATA:
        return "link-local"
    if address.is_loopback or address.is_unspecified:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    return "" if address.is_global else "private"


def _plain(host: str) -> str:
    """Write digits and dots of other scripts as what the name service will be asked for (UTS 46)."""
    import unicodedata

    return unicodedata.normalize("NFKC", host).replace("\u3002", ".")


def _locality_of_name(name: str) -> str:
    if name in _METADATA:
        return "link-local"
    if name == "localhost" or name.endswith(".localhost"):
        return "loopback"
    private = "." not in name or name.endswith((".local", ".internal", ".lan", ".home.arpa", ".localdomain"))
    return "private" if private else ""


def _parse_realm(realm: str) -> SplitResult:
    try:
        parts = urlsplit(realm)
        usable = parts.scheme in ("https", "http") and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        usable = None
    if not usable:
        raise ProtocolError(f"the registry names a token service that isn't a URL: {realm[:200]!r}")
    return parts


def _with_query(realm: SplitResult, query: list[tuple[str, str]]) -> str:
    """Add to the realm's own query; a fragment would swallow what follows it."""
    joined = "&".join(filter(None, (realm.query, urlencode(query))))
    return realm._replace(query=joined, fragment="").geturl()


def _refresh(realm: SplitResult, query: list[tuple[str, str]], token: str) -> Request:
    """Ask for a token with an identity token (distribution, OAuth2 token authentication)."""
    scopes = [value for name, value in query if name == "scope"]
    form = [(name, value) for name, value in query if name != "scope"]
    form += [("scope", " ".join(scopes))] if scopes else []
    form += [("grant_type", "refresh_token"), ("client_id", _CLIENT), ("refresh_token", token)]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request("POST", _with_query(realm, []), headers, Bytes(urlencode(form).encode()))


def _always(login: Login | None) -> Lookup:
    return lambda _repository: login


def _with(request: Request, authorization: str | None) -> Request:
    if authorization is None:
        return request
    return replace(request, headers={**request.headers, "Authorization": authorization})
