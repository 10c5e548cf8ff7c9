"""Authorization, the server's half: Basic (RFC 7617), or Bearer with the registry's own token service.

A guard stands around `handle`. It decides by the path and method alone, before anything is looked up.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from regkit.devregistry.answer import Fault, json_response
from regkit.devregistry.call import check_repository
from regkit.devregistry.route import Route, header, origin, read_body, with_query
from regkit.devregistry.tokens import Tokens
from regkit.devregistry.users import ACTIONS, Users
from regkit.protocol.flow import Request, Response, Send

TOKEN_PATH = "/token"  # noqa: S105 - a path
"""Where the token service is, on the registry's own origin."""

NOBODY = ("", "Basic Og==")
"""What somebody without a login sends as `Authorization`; skopeo sends an empty name and password."""

_FORM_LIMIT = 64 * 1024
_MAX_SCOPES = 100
_SCOPE = re.compile(r"repository(?:\([a-z0-9]+\))?:(?P<name>[a-z0-9][a-z0-9._/-]{0,254}):(?P<actions>[a-z,*]+)")
_ACTION_OF = {"GET": "pull", "HEAD": "pull", "POST": "push", "PUT": "push", "PATCH": "push", "DELETE": "delete"}

Needed = Mapping[str, frozenset[str]]
"""The actions that a request needs, by repository."""


class BasicGuard:
    """Lets in who sends a name and password with each request."""

    def __init__(self, handle: Send, users: Users) -> None:
        self._handle, self._users = handle, users

    def handle(self, request: Request) -> Response:
        """Answer a request, or raise a Fault: 401 where it needs a login, 403 where that one may not."""
        sent = header(request, "authorization")
        user = basic_login(self._users, sent)
        if user is None and sent not in NOBODY:
            raise _unauthorized('Basic realm="regkit"', "the name or the password is wrong")
        request = confined(request, self._users, user)
        for repository, actions in needs(request).items():
            if user is None and not (repository and actions <= self._users.allowed(None, repository)):
                raise _unauthorized('Basic realm="regkit"', "this needs a login")
            if repository and not actions <= self._users.allowed(user, repository):
                raise Fault(403, "DENIED", f"{user} may not {', '.join(sorted(actions))} in {repository}")
        return self._handle(request)


class TokenGuard:
    """Lets in who brings a token, and gives tokens to who has a login (distribution, token authentication).

    `scheme` is the one that clients reach the registry by: the token service is on its own origin.
    """

    def __init__(self, handle: Send, users: Users, tokens: Tokens, scheme: str = "http") -> None:
        self._handle, self._users, self._tokens, self._scheme = handle, users, tokens, scheme

    def handle(self, request: Request) -> Response:
        """Answer a request, a token's one too, or raise a Fault: 401 with a challenge that names what is needed."""
        if urlsplit(request.url).path == TOKEN_PATH:
            return self._give_token(request)
        scheme, _, token = header(request, "authorization").partition(" ")
        claims = self._tokens.read(token.strip()) if scheme.lower() == "bearer" else None
        if claims is None:
            raise self._challenge(request, needs(request), "invalid_token" if token else "", "this needs a token")
        request = confined(request, self._users, claims.user)
        needed = needs(request)
        for repository, actions in needed.items():
            if repository and not actions <= claims.access.get(repository, frozenset()):
                wanted = f"the token doesn't allow to {', '.join(sorted(actions))} in {repository}"
                raise self._challenge(request, needed, "insufficient_scope", wanted)
        return self._handle(request)

    def _challenge(self, request: Request, needed: Needed, error: str, message: str) -> Fault:
        scopes = " ".join(f"repository:{name}:{','.join(sorted(a))}" for name, a in needed.items() if name)
        realm = f"{origin(request, self._scheme)}{TOKEN_PATH}"
        parts = {"realm": realm, "service": self._tokens.service, "scope": scopes, "error": error}
        challenge = ",".join(f'{name}="{value}"' for name, value in parts.items() if value)
        return _unauthorized(f"Bearer {challenge}", message)

    def _give_token(self, request: Request) -> Response:
        """Answer GET with Basic or nothing, and POST with a form (OAuth2: a password, or an identity token)."""
        if request.method == "GET":
            query = parse_qs(urlsplit(request.url).query)
            sent = header(request, "authorization")
            user = basic_login(self._users, sent)
            if user is None and sent not in NOBODY:
                raise Fault(401, "UNAUTHORIZED", "the name or the password is wrong")
            return self._token(user, query, offline=query.get("offline_token") == ["true"])
        if request.method != "POST":
            raise Fault(405, "UNSUPPORTED", f"{request.method} gets no token", {"allow": "GET, POST"})
        form = _read_form(request)
        kind, first = form.get("grant_type", [""])[0], {name: values[0] for name, values in form.items()}
        user = None
        if kind == "password" and self._users.knows(first.get("username", ""), first.get("password", "")):
            user = first["username"]
        elif kind == "refresh_token":
            user = self._tokens.read_identity(first.get("refresh_token", ""))
        if user is None:
            raise Fault(401, "UNAUTHORIZED", "the login is wrong, or the identity token has ended with its registry")
        return self._token(user, form, offline=kind == "refresh_token" or first.get("access_type") == "offline")

    def _token(self, user: str | None, asked: Mapping[str, list[str]], *, offline: bool) -> Response:
        service = asked.get("service", [self._tokens.service])[0]
        if service != self._tokens.service:
            raise Fault(400, "UNSUPPORTED", f"tokens are for {self._tokens.service}, not for {service[:100]!r}")
        granted: dict[str, frozenset[str]] = {}
        for name, actions in _scopes(asked.get("scope", [])):
            granted[name] = granted.get(name, frozenset()) | (actions & self._users.allowed(user, name))
        token = self._tokens.access_token(user, granted)
        answer: dict[str, Any] = {
            "token": token,
            "access_token": token,
            "expires_in": int(self._tokens.lifetime),
            "issued_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        if offline and user is not None:
            answer["refresh_token"] = self._tokens.identity_token(user)
        return json_response(answer, headers={"cache-control": "no-store"})


def needs(request: Request) -> Needed:
    """Tell which actions a request needs in which repositories; what is in none needs a login, which "" stands for.

    Raise a Fault for what isn't a repository's name: nothing else is written into a challenge.
    """
    route = Route.of(request)
    if not route.repository:
        return {"": frozenset()}
    check_repository(route.repository)
    action = "push" if route.chapter == "uploads" else _ACTION_OF.get(request.method, "push")
    needed = {route.repository: frozenset({"pull", action})}
    source = _mount_source(route)
    if source and source != route.repository:
        check_repository(source)
        needed[source] = frozenset({"pull"})
    return needed


def confined(request: Request, users: Users, user: str | None) -> Request:
    """Give a request in which a mount is from where the user may pull; else from the repository itself.

    That opens an upload where the content isn't there, as a mount that fails does (distribution-spec, Mounting a blob).
    """
    route = Route.of(request)
    source = _mount_source(route)
    if source is None or (source and "pull" in users.allowed(user, source)):
        return request
    return with_query(request, {**route.query, "from": route.repository})


def _mount_source(route: Route) -> str | None:
    """Tell where a mount is from, "" for anywhere; None for what is no mount."""
    return route.query.get("from", "") if route.chapter == "uploads" and "mount" in route.query else None


def basic_login(users: Users, authorization: str) -> str | None:
    """Read `Basic …`; give the user, or None where name and password don't fit."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    known = scheme.lower() == "basic" and colon and users.knows(user, password)
    return user if known else None


def _scopes(texts: Iterable[str]) -> Iterable[tuple[str, frozenset[str]]]:
    """Read `repository:NAME:ACTIONS`, several in one text too; what can't be read is asked for in vain."""
    listed = [scope for text in texts for scope in text.split()][:_MAX_SCOPES]
    for match in filter(None, map(_SCOPE.fullmatch, listed)):
        actions = frozenset(match["actions"].split(","))
        yield match["name"], ACTIONS if "*" in actions else actions


def _read_form(request: Request) -> Mapping[str, list[str]]:
    try:
        return parse_qs(read_body(request, _FORM_LIMIT).decode())
    except (UnicodeDecodeError, ValueError):
        raise Fault(400, "UNSUPPORTED", "the form can't be read") from None


def _unauthorized(challenge: str, message: str) -> Fault:
    return Fault(401, "UNAUTHORIZED", message, {"www-authenticate": challenge})
