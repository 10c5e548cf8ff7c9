"""GitLab's API for its container registry, as docs.gitlab.com/api/container_registry describes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.support.vendors.double import Answer, Call, Double, page_of

_PATH = re.compile(r"/api/v4/projects/(?P<project>[^/]+)/registry(?P<rest>/.*)")
_TAGS = re.compile(r"/repositories/(?P<number>\d+)/tags(?:/(?P<tag>[^/]+))?")


@dataclass
class Repository:
    """A repository: its tags by name, with digest and date."""

    number: int
    path: str
    tags: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass
class GitLabDouble(Double):
    """`tokens` are personal tokens with their scopes; `projects` have repositories, `rules` are theirs for tags."""

    tokens: dict[str, set[str]] = field(default_factory=dict, repr=False)
    job_tokens: set[str] = field(default_factory=set, repr=False)
    projects: dict[str, list[Repository]] = field(default_factory=dict)
    rules: dict[str, list[dict[str, Any]]] | None = None

    def handle(self, call: Call) -> Answer:
        scopes = self._scopes(call)
        if scopes is None:
            return Answer(401, {"message": "401 Unauthorized"})
        if not scopes & ({"api", "read_api"} if call.method == "GET" else {"api"}):
            return Answer(403, {"error": "insufficient_scope", "error_description": "needs the scope api"})
        match = _PATH.fullmatch(call.path)
        project = unquote(match["project"]) if match else ""
        if match is None or project not in self.projects:
            return Answer(404, {"message": "404 Project Not Found"})
        if match["rest"] == "/repositories" and call.method == "GET":
            items = [{"id": each.number, "path": each.path} for each in self.projects[project]]
            return self._page(call, items)
        if match["rest"] == "/protection/tag/rules" and self.rules is not None:
            return Answer(200, self.rules.get(project, []))
        tags = _TAGS.fullmatch(match["rest"])
        found = [each for each in self.projects[project] if tags and each.number == int(tags["number"])]
        if tags is None or not found:
            return Answer(404, {"message": "404 Not found"})
        return self._tags(call, project, found[0], tags["tag"])

    def _scopes(self, call: Call) -> set[str] | None:
        if call.headers.get("job-token") in self.job_tokens:
            return {"api"}
        return self.tokens.get(call.headers.get("private-token", ""))

    def _tags(self, call: Call, project: str, repository: Repository, tag: str | None) -> Answer:
        if tag is None:
            return self._page(call, [{"name": name} for name in repository.tags])
        if tag not in repository.tags:
            return Answer(404, {"message": "404 Tag Not Found"})
        if call.method == "GET":
            digest, at = repository.tags[tag]
            return Answer(200, {"name": tag, "digest": digest, "created_at": at})
        if call.method != "DELETE":
            return Answer(405)
        for rule in (self.rules or {}).get(project, []):
            if rule.get("immutable") and re.search(rule["tag_name_pattern"], tag):
                return Answer(403, {"message": "Tag is immutable and can't be deleted"})
        del repository.tags[tag]
        return Answer(200)

    def _page(self, call: Call, items: list[Any]) -> Answer:
        some, page, more = page_of(call, items, "per_page", too_large=400)
        if not more:
            return Answer(200, some)
        query = "&".join(f"{key}={value}" for key, value in {**call.query, "page": str(page + 1)}.items())
        return Answer(200, some, Link=f'<{self.url}{call.path}?{query}>; rel="next"')
