"""Quay's API, as docs.quay.io/api describes it: OAuth tokens with scopes, for each request the one that it needs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.support.vendors.double import Answer, Call, Double, page_of

_PATH = re.compile(r"/api/v1/repository/(?P<name>[^/]+/.+?)(?:/tag(?P<tag>/[^/]*))?")


@dataclass
class Repository:
    """A repository: its tags by name, with digest and Unix time."""

    description: str = ""
    tags: dict[str, tuple[str, int]] = field(default_factory=dict)
    immutable: set[str] = field(default_factory=set)


@dataclass
class QuayDouble(Double):
    """`tokens` are OAuth tokens with their scopes."""

    tokens: dict[str, set[str]] = field(default_factory=dict, repr=False)
    repositories: dict[str, Repository] = field(default_factory=dict)

    def handle(self, call: Call) -> Answer:
        match = _PATH.fullmatch(call.path)
        if match is None:
            return Answer(404, {"message": "Not Found"})
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            return Answer(401, {"message": "CSRF token was invalid or missing.", "error_type": "invalid_token"})
        needed = "repo:read" if call.method == "GET" else "repo:write"
        if needed not in self.tokens[token]:
            return Answer(403, {"error_message": "Unauthorized", "error_type": "insufficient_scope", "status": 403})
        repository = self.repositories.get(match["name"])
        if repository is None:
            return Answer(404, {"detail": "Not Found", "error_message": "Not Found", "status": 404})
        tag = match["tag"]
        if tag is None:
            return self._described(call, repository)
        return self._tags(call, repository) if tag == "/" else self._tag(call, repository, tag.strip("/"))

    def _described(self, call: Call, repository: Repository) -> Answer:
        if call.method == "GET":
            return Answer(200, self.shown({"description": repository.description}))
        if call.method != "PUT":
            return Answer(405)
        document = call.json()
        if not isinstance(document.get("description"), str):
            return Answer(400, {"detail": "'description' is a required property"})
        self.remember({"description": repository.description})
        repository.description = document["description"]
        return Answer(200, {"success": True})

    def _tags(self, call: Call, repository: Repository) -> Answer:
        if call.method != "GET":
            return Answer(405)
        wanted = call.query.get("specificTag")
        found = [(name, about) for name, about in repository.tags.items() if wanted in (None, name)]
        items, page, more = page_of(call, found, "limit", too_large=400)
        tags = [
            {"name": n, "manifest_digest": digest, "start_ts": at, "immutable": n in repository.immutable}
            for n, (digest, at) in items
        ]
        return Answer(200, {"tags": tags, "page": page, "has_additional": more})

    def _tag(self, call: Call, repository: Repository, tag: str) -> Answer:
        if call.method != "DELETE":
            return Answer(405)
        if tag not in repository.tags:
            return Answer(404, {"detail": "Not Found"})
        if tag in repository.immutable:
            return Answer(409, {"detail": f"Tag '{tag}' is immutable and cannot be deleted", "status": 409})
        del repository.tags[tag]
        return Answer(204)
