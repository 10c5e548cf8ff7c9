"""Harbor's API, version 2.0, as its swagger.yaml describes it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.support.vendors.double import Answer, Call, Double, page_of

_PATH = re.compile(r"/api/v2\.0/projects/(?P<project>[^/]+)/repositories/(?P<name>[^/]+)(?P<rest>/.*)?")
_TAG = re.compile(r"/artifacts/(?P<reference>[^/]+)/tags/(?P<tag>[^/]+)")


@dataclass
class Repository:
    """A repository: its tags by name, with digest and date."""

    description: str = ""
    tags: dict[str, tuple[str, str]] = field(default_factory=dict)
    immutable: set[str] = field(default_factory=set)


@dataclass
class HarborDouble(Double):
    """`users` are names with password and permissions (`read`, `delete`, `update`); it plays `/v2/`, too."""

    users: dict[str, tuple[str, set[str]]] = field(default_factory=dict, repr=False)
    repositories: dict[str, Repository] = field(default_factory=dict)

    def handle(self, call: Call) -> Answer:
        if call.path == "/v2/":
            realm = f'Bearer realm="{self.url}/service/token",service="harbor-registry"'
            return Answer(401, {"errors": []}, WWW_Authenticate=realm)
        match = _PATH.fullmatch(unquote(call.path))  # as the proxy before it does
        if match is None:
            return _refused(404, "NOT_FOUND", "page not found")
        permissions = self._who(call)
        needed = {"GET": "read", "DELETE": "delete", "PUT": "update"}.get(call.method)
        if needed not in permissions:
            return (
                _refused(403, "FORBIDDEN", "forbidden")
                if permissions
                else _refused(401, "UNAUTHORIZED", "unauthorized")
            )
        repository = self.repositories.get(f"{match['project']}/{unquote(match['name'])}")
        if repository is None:
            return _refused(404, "NOT_FOUND", "repository not found")
        return self._of_repository(call, repository, match["rest"] or "")

    def _who(self, call: Call) -> set[str]:
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        if scheme != "Basic":
            return set()
        user, _, password = base64.b64decode(value).decode().partition(":")
        known, permissions = self.users.get(user, ("", set()))
        return permissions if password and password == known else set()

    def _of_repository(self, call: Call, repository: Repository, rest: str) -> Answer:
        if rest == "" and call.method == "GET":
            return Answer(200, self.shown({"description": repository.description}))
        if rest == "" and call.method == "PUT":
            self.remember({"description": repository.description})
            repository.description = call.json().get("description", "")
            return Answer(200)
        if rest == "/artifacts" and call.method == "GET":
            return self._artifacts(call, repository)
        tag = _TAG.fullmatch(rest)
        if tag is not None and call.method == "DELETE":
            return _remove(repository, tag["tag"])
        one = rest.removeprefix("/artifacts/")
        if call.method == "GET" and one in repository.tags:
            digest = repository.tags[one][0]
            return Answer(200, _artifact(repository, digest))
        return _refused(404, "NOT_FOUND", "artifact not found")

    def _artifacts(self, call: Call, repository: Repository) -> Answer:
        digests = list(dict.fromkeys(digest for digest, _ in repository.tags.values()))
        items, page, more = page_of(call, digests, "page_size", too_large=422)
        documents = [_artifact(repository, digest) for digest in items]
        if not more:
            return Answer(200, documents)
        query = "&".join(f"{key}={value}" for key, value in {**call.query, "page": str(page + 1)}.items())
        return Answer(200, documents, Link=f'<{call.path}?{query}>; rel="next"')


def _artifact(repository: Repository, digest: str) -> dict[str, Any]:
    tags = [
        {"name": name, "push_time": at, "immutable": name in repository.immutable}
        for name, (on, at) in repository.tags.items()
        if on == digest
    ]
    return {"digest": digest, "tags": tags or None}


def _remove(repository: Repository, tag: str) -> Answer:
    if tag not in repository.tags:
        return _refused(404, "NOT_FOUND", f"tag {tag} not found")
    if tag in repository.immutable:
        return _refused(412, "PRECONDITION", f"the tag {tag} configured as immutable, cannot be deleted")
    del repository.tags[tag]
    return Answer(200)


def _refused(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"errors": [{"code": code, "message": message}]})
