"""Docker Hub's API, as docs.docker.com/reference/api/hub and its users' issues describe it."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from tests.support.vendors.double import Answer, Call, Double, page_of

FULL_LIMIT, SHORT_LIMIT = 25_000, 100

_NAMESPACED = re.compile(r"/v2/namespaces/(?P<namespace>[^/]+)/repositories/(?P<name>[^/]+)(?P<rest>/.*)?")
_LEGACY = re.compile(r"/v2/repositories/(?P<namespace>[^/]+)/(?P<name>[^/]+)(?P<rest>/.*)")


@dataclass
class Account:
    """A user or an organisation: `kind` is what its secret is, `level` what a token may do."""

    name: str
    secret: str = field(repr=False)
    kind: str = "password"
    """`password`, `personal` or `organisation`."""
    level: str = "admin"
    """`read`, `write` (Read & Write) or `admin` (Read, Write, Delete)."""
    second_factor: bool = False


@dataclass
class Repository:
    """A repository: its tags by name, with digest and date."""

    full: str = ""
    short: str = ""
    tags: dict[str, tuple[str, str]] = field(default_factory=dict)
    immutable: list[str] = field(default_factory=list)
    private: bool = False

    def document(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "full_description": self.full,
            "description": self.short,
            "immutable_tags_settings": {"enabled": bool(self.immutable), "rules": self.immutable},
        }


@dataclass
class HubDouble(Double):
    """`namespaced` and `token_endpoint` say which of the newer paths it has; a token lasts for `uses` requests."""

    accounts: list[Account] = field(default_factory=list)
    repositories: dict[str, Repository] = field(default_factory=dict)
    namespaced: bool = True
    token_endpoint: bool = True
    uses: int | None = None
    tokens: dict[str, tuple[Account, int]] = field(default_factory=dict)

    def handle(self, call: Call) -> Answer:
        if call.path == "/v2/auth/token" and self.token_endpoint:
            return self._log_in(call, "identifier", "secret", "access_token", old=False)
        if call.path in ("/v2/users/login", "/v2/users/login/"):
            return self._log_in(call, "username", "password", "token", old=True)
        namespaced = _NAMESPACED.fullmatch(call.path) if self.namespaced else None
        legacy = _LEGACY.fullmatch(call.path)
        match = namespaced or legacy
        if match is None:
            return Answer(404, {"message": "page not found"})
        account = self._who(call)
        if account and account.kind == "organisation" and not namespaced:
            return Answer(403, {"message": "access to this resource is forbidden with an organization access token"})
        name = f"{match['namespace']}/{match['name']}"
        repository = self.repositories.get(name)
        if repository is None or (repository.private and account is None):
            return Answer(404, {"message": "object not found", "errinfo": {}})
        return self._of_repository(call, account, repository, name, (match["rest"] or "/").strip("/"))

    def _log_in(self, call: Call, user: str, secret: str, key: str, *, old: bool) -> Answer:
        if call.method != "POST":
            return Answer(405)
        document = call.json()
        found = [a for a in self.accounts if (a.name, a.secret) == (document.get(user), document.get(secret))]
        if not found or (old and found[0].kind == "organisation"):
            return Answer(401, {"detail": "Incorrect authentication credentials"})
        if found[0].kind == "password" and found[0].second_factor:
            return Answer(
                401,
                {
                    "detail": "Require secondary authentication on MFA enabled account",
                    "login_2fa_token": secrets.token_hex(16),
                },
            )
        token = secrets.token_hex(16)
        self.tokens[token] = (found[0], 0)
        return Answer(200, {key: token})

    def _who(self, call: Call) -> Account | None:
        sent = call.headers.get("authorization")
        if sent is None:
            return None
        scheme, _, token = sent.partition(" ")
        account, used = self.tokens.get(token, (None, 0))
        if account is None or scheme not in ("Bearer", "JWT") or (self.uses is not None and used >= self.uses):
            raise Answer(401, {"message": "unauthorized", "detail": "token is expired or invalid"})
        self.tokens[token] = (account, used + 1)
        return account

    def _of_repository(
        self, call: Call, account: Account | None, repository: Repository, name: str, rest: str
    ) -> Answer:
        if call.method != "GET":
            if account is None:
                return Answer(401, {"message": "authentication required"})
            if account.kind != "password" and account.level != "admin":
                return Answer(403, {"message": "insufficient scope", "errinfo": {}})
        if rest.startswith("tags/"):
            return _one_tag(call, repository, rest.removeprefix("tags/"))
        match call.method, rest:
            case "GET", "":
                return Answer(200, self.shown(repository.document(name)))
            case "PATCH", "":
                return self._describe(call, repository, name)
            case "GET", "tags":
                return self._list(call, repository)
        return Answer(405 if rest in ("", "tags") else 404)

    def _describe(self, call: Call, repository: Repository, name: str) -> Answer:
        document = call.json()
        full, short = document.get("full_description", repository.full), document.get("description", repository.short)
        if len(full.encode()) > FULL_LIMIT:
            return Answer(400, {"full_description": [f"Ensure this field has no more than {FULL_LIMIT} characters."]})
        if len(short.encode()) > SHORT_LIMIT:
            return Answer(400, {"description": [f"Ensure this field has no more than {SHORT_LIMIT} characters."]})
        self.remember(repository.document(name))
        repository.full, repository.short = full, short
        return Answer(200, repository.document(name))

    def _list(self, call: Call, repository: Repository) -> Answer:
        items, number, more = page_of(call, list(repository.tags.items()), "page_size", too_large=400)
        following = f"{self.url}{call.path}?page={number + 1}&page_size={call.query.get('page_size', '10')}"
        results = [_tag(tag, about) for tag, about in items]
        return Answer(200, {"count": len(repository.tags), "next": following if more else None, "results": results})


def _one_tag(call: Call, repository: Repository, tag: str) -> Answer:
    if tag not in repository.tags:
        return Answer(404, {"message": "tag not found"})
    if call.method == "GET":
        return Answer(200, _tag(tag, repository.tags[tag]))
    if call.method != "DELETE":
        return Answer(405)
    if any(re.search(rule, tag) for rule in repository.immutable):
        return Answer(403, {"message": "this tag can't be deleted due to immutability settings"})
    del repository.tags[tag]
    return Answer(204)


def _tag(name: str, about: tuple[str, str]) -> dict[str, Any]:
    return {"name": name, "digest": about[0], "last_updated": about[1], "tag_last_pushed": about[1]}
