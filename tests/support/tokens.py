"""A token service: it signs real tokens (JWT, RS256) as distribution's `auth: token` wants them."""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.servers import Handler, listening

LEEWAY = 60
"""Distribution takes tokens for this many seconds longer than they say (registry/auth/token/token.go)."""

_ISSUER, _SERVICE, _KEY_ID = "tests", "registry", "tests-key"
_SCOPE = re.compile(r"repository:(?P<name>[^:]+):(?P<actions>[a-z,*]+)")

Allow = Callable[[str | None, str], set[str]]
"""What a user (None: anonymous) may do in a repository: some of `pull`, `push`, `delete`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a token: who asked, with which headers, for which scopes; and what came of it."""

    user: str | None
    path: str
    headers: dict[str, str]
    scopes: tuple[str, ...]
    status: int
    expires: int = 0
    """When the registry stops taking the token, in Unix time."""


@dataclass
class TokenService:
    """A service for `users` (name → password); tokens last `lifetime` seconds. `host` is its own."""

    users: dict[str, str]
    allow: Allow
    lifetime: float = 60.0
    host: str = ""
    asked: list[Asked] = field(default_factory=list)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048), repr=False)

    def configuration(self, directory: Path) -> dict[str, Any]:
        """Give what a distribution's configuration needs to trust this service; its keys are written to `directory`."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        keys = directory / "jwks.json"
        keys.write_text(json.dumps({"keys": [{**public, "kid": _KEY_ID, "alg": "RS256", "use": "sig"}]}))
        realm = f"http://{self.host}/token"
        return {"auth": {"token": {"realm": realm, "service": _SERVICE, "issuer": _ISSUER, "jwks": str(keys)}}}

    def issue(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Answer one request."""
        scopes = tuple(scope for text in parse_qs(urlsplit(path).query).get("scope", []) for scope in text.split(" "))
        user, known = self._who(headers.get("authorization"))
        if not known:
            self.asked.append(Asked(user, path, headers, scopes, 401))
            return 401, {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]}
        now = time.time()
        expires = int(now + self.lifetime)
        claims = {
            "iss": _ISSUER,
            "sub": user or "",
            "aud": _SERVICE,
            "iat": int(now),
            "nbf": int(now) - LEEWAY,
            "exp": expires - LEEWAY,
            "jti": secrets.token_hex(8),
            "access": [grant for scope in scopes for grant in self._grants(user, scope)],
        }
        token = jwt.encode(claims, self.key, "RS256", {"kid": _KEY_ID})
        self.asked.append(Asked(user, path, headers, scopes, 200, expires))
        return 200, {"token": token, "expires_in": max(1, int(self.lifetime))}

    def _who(self, authorization: str | None) -> tuple[str | None, bool]:
        if authorization is None:
            return None, True
        kind, _, value = authorization.partition(" ")
        user, _, password = base64.b64decode(value).decode().partition(":")
        return user, kind == "Basic" and self.users.get(user) == password

    def _grants(self, user: str | None, scope: str) -> Iterator[dict[str, Any]]:
        match = _SCOPE.fullmatch(scope)
        if match is None:
            return
        actions = self.allow(user, match["name"]).intersection(match["actions"].split(","))
        yield {"type": "repository", "name": match["name"], "actions": sorted(actions)}


@contextmanager
def token_service(users: dict[str, str], allow: Allow, lifetime: float = 60.0) -> Iterator[TokenService]:
    """Run a token service on a free port of 127.0.0.1."""
    service = TokenService(users, allow, lifetime)

    class Tokens(Handler):
        def do_GET(self) -> None:  # noqa: N802 - http.server's name
            status, document = service.issue(self.path, {key.lower(): value for key, value in self.headers.items()})
            self.answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    with listening(Tokens) as service.host:
        yield service
