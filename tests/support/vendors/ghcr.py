"""GitHub's REST API for container packages, as docs.github.com/rest/packages describes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.support.vendors.double import Answer, Call, Double, page_of

_PATH = re.compile(
    r"/(?P<kind>orgs|users)/(?P<owner>[^/]+)/packages/container/(?P<name>[^/]+)/versions(?:/(?P<number>\d+))?"
)


@dataclass
class Version:
    """A digest with all its tags."""

    number: int
    digest: str
    tags: list[str]
    updated: str = "2026-01-02T03:04:05Z"
    downloads: int = 0


@dataclass
class GitHubDouble(Double):
    """`tokens` are classic tokens with their scopes; `owners` are `orgs` or `users`; packages have versions."""

    tokens: dict[str, set[str]] = field(default_factory=dict, repr=False)
    owners: dict[str, str] = field(default_factory=dict)
    packages: dict[str, list[Version]] = field(default_factory=dict)

    def handle(self, call: Call) -> Answer:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            return Answer(401, {"message": "Requires authentication"})
        if "read:packages" not in self.tokens[token]:
            return Answer(403, {"message": "You need at least read:packages scope to get a package's versions."})
        match = _PATH.fullmatch(call.path)
        if match is None or self.owners.get(match["owner"]) != match["kind"]:
            return Answer(404, {"message": "Not Found"})
        name = f"{match['owner']}/{unquote(match['name'])}"
        versions = self.packages.get(name)
        if versions is None:
            return Answer(404, {"message": "Package not found."})
        if match["number"] is None:
            return self._list(call, versions)
        if call.method != "DELETE":
            return Answer(405)
        return self._delete(versions, int(match["number"]), self.tokens[token])

    def _list(self, call: Call, versions: list[Version]) -> Answer:
        if call.method != "GET":
            return Answer(405)
        some, page, more = page_of(call, versions, "per_page", too_large=422)
        documents: list[dict[str, Any]] = [
            {
                "id": v.number,
                "name": v.digest,
                "updated_at": v.updated,
                "metadata": {"package_type": "container", "container": {"tags": v.tags}},
            }
            for v in some
        ]
        if not more:
            return Answer(200, documents)
        query = f"per_page={call.query['per_page']}&page={page + 1}"
        return Answer(200, documents, Link=f'<{self.url}{call.path}?{query}>; rel="next"')

    def _delete(self, versions: list[Version], number: int, scopes: set[str]) -> Answer:
        if "delete:packages" not in scopes:
            return Answer(403, {"message": "You need at least delete:packages scope to delete a package version."})
        found = [version for version in versions if version.number == number]
        if not found:
            return Answer(404, {"message": "Package not found."})
        if found[0].tags and sum(bool(version.tags) for version in versions) == 1:
            return Answer(400, {"message": "You cannot delete the last tagged version of a package."})
        if found[0].downloads > 5000:
            return Answer(
                400, {"message": "Publicly visible package versions with more than 5000 downloads cannot be deleted."}
            )
        versions.remove(found[0])
        return Answer(204)
