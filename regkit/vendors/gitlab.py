"""GitLab (docs.gitlab.com/api/container_registry): a repository belongs to the project whose path it begins with."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from regkit.errors import AccessDenied
from regkit.oci.manifest import MAX_SIZE
from regkit.protocol.auth import Login
from regkit.protocol.flow import Flow, Request
from regkit.vendors.access import Access, Fixed
from regkit.vendors.answer import date_of, document_of, expect, items_of
from regkit.vendors.capability import GITLAB
from regkit.vendors.immutable import matching
from regkit.vendors.pages import pages
from regkit.vendors.vendor import PAGE_SIZE, Vendor, VendorTag

_READ = "a token needs the scope read_api for this; a deploy token can't ask GitLab's API"
_WRITE = "a token needs the scope api for this, and the role Developer or higher; a deploy token can't ask GitLab's API"
_JOB_USER = "gitlab-ci-token"


class GitLab(Vendor):
    """GitLab's API; it remembers where repositories are."""

    capabilities = GITLAB

    def __init__(self) -> None:
        self._places: dict[str, tuple[str, int]] = {}

    def access(self, login: Login | None) -> Access:
        """Send the registry's token as GitLab's own; a job's under the name that GitLab has for it."""
        if login is None:
            return Fixed({})
        if not login.password:
            raise AccessDenied(
                f"the login for GitLab from {login.origin} has no token, which its API needs",
                hint="log in to the registry with a personal or project access token",
            )
        name = "JOB-TOKEN" if login.username == _JOB_USER else "PRIVATE-TOKEN"
        return Fixed({name: login.password}, login.password)

    def list_tags(self, repository: str) -> Flow[tuple[VendorTag, ...]]:
        """Page through the tags: names alone, dates are looked up tag by tag."""
        place = yield from self._place(repository)
        if place is None:
            return ()
        url = f"{_path(place)}/tags?per_page={PAGE_SIZE}"
        found = yield from pages(url, what=f"list the tags of {repository}", scope=_READ)
        return tuple(VendorTag(str(item.get("name"))) for item in found or ())

    def look_up_tag(self, repository: str, tag: str) -> Flow[VendorTag | None]:
        """Ask for one tag, with its date and digest."""
        place = yield from self._place(repository)
        if place is None:
            return None
        response = yield Request("GET", f"{_path(place)}/tags/{tag}")
        if response.status == 404:
            return None
        item = document_of(expect(response, 200, what=f"look up {tag} of {repository}", scope=_READ))
        digest = item.get("digest")
        return VendorTag(tag, digest if isinstance(digest, str) else None, date_of(item.get("created_at")))

    def immutable_tags(self, repository: str, tags: Iterable[str]) -> Flow[frozenset[str]]:
        """Read the project's rules (from 18.8 on); those without a role that may delete hold for everybody."""
        place = yield from self._place(repository)
        if place is None:
            return frozenset()
        response = yield Request("GET", f"/api/v4/projects/{quote(place[0], safe='')}/registry/protection/tag/rules")
        if response.status == 404:
            return frozenset()
        expect(response, 200, what=f"read the rules for tags of {place[0]}", scope=_WRITE)
        rules = items_of(response.json(MAX_SIZE), response)
        hard = [
            rule.get("tag_name_pattern")
            for rule in rules
            if rule.get("immutable") is True or rule.get("minimum_access_level_for_delete") is None
        ]
        return matching(hard, tags)

    def delete_tag(self, repository: str, tag: str) -> Flow[None]:
        """Remove a tag."""
        place = yield from self._place(repository)
        if place is None:
            return
        response = yield Request("DELETE", f"{_path(place)}/tags/{tag}")
        expect(response, 200, 202, 204, 404, what=f"remove the tag {tag} of {repository}", scope=_WRITE)

    def _place(self, repository: str) -> Flow[tuple[str, int] | None]:
        """Find the project, the longest path first, and the repository's number in it; None where there is none."""
        if repository in self._places:
            return self._places[repository]
        project = repository
        while "/" in project:
            url = f"/api/v4/projects/{quote(project, safe='')}/registry/repositories?per_page={PAGE_SIZE}"
            found = yield from pages(url, what=f"list the repositories of {project}", scope=_READ)
            for item in found or ():
                if item.get("path") == repository and isinstance(item.get("id"), int):
                    self._places[repository] = (project, item["id"])
                    return self._places[repository]
            project = project.rpartition("/")[0]
        return None


def _path(place: tuple[str, int]) -> str:
    return f"/api/v4/projects/{quote(place[0], safe='')}/registry/repositories/{place[1]}"
