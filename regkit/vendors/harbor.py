"""Harbor's API, version 2.0 (its swagger.yaml): the first part of a repository's name is the project."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from regkit.errors import AccessDenied
from regkit.oci.manifest import MAX_SIZE
from regkit.protocol.auth import Login
from regkit.protocol.flow import Flow, Request
from regkit.protocol.page import next_page
from regkit.vendors.access import Access, Fixed
from regkit.vendors.answer import date_of, document_of, expect, items_of, json_request
from regkit.vendors.capability import HARBOR
from regkit.vendors.immutable import marked
from regkit.vendors.vendor import PAGE_SIZE, Description, Vendor, VendorTag

_READ = "a robot account needs List Artifact and Read Repository for this"
_DELETE = "a robot account needs Delete Tag for this, a member of the project the role Maintainer"
_DESCRIBE = "a robot account needs Update Repository for this, a member of the project the role Developer or higher"


class Harbor(Vendor):
    """Harbor's API; it takes the registry's own login."""

    capabilities = HARBOR

    def access(self, login: Login | None) -> Access:
        """Send user and password with every request; no cookie, hence no CSRF token."""
        if login is None:
            return Fixed({})
        if not login.password:
            raise AccessDenied(
                f"the login for Harbor from {login.origin} has no password, which its API needs",
                hint="log in with a robot account, or with the CLI secret of a user's profile",
            )
        return Fixed({"Authorization": login.header}, login.password, login.header.removeprefix("Basic "))

    def list_tags(self, repository: str) -> Flow[tuple[VendorTag, ...]]:
        """Page through the artifacts; each has its tags."""
        query = f"?with_tag=true&with_immutable_status=true&page=1&page_size={PAGE_SIZE}"
        url: str | None = f"{_path(repository)}/artifacts{query}"
        found: list[VendorTag] = []
        seen: set[str] = set()
        while url is not None:
            response = yield Request("GET", url)
            if response.status == 404 and not seen:
                break
            page = expect(response, 200, what=f"list the tags of {repository}", scope=_READ).json(MAX_SIZE)
            for artifact in items_of(page, response):
                found += (_tag(tag, artifact.get("digest")) for tag in items_of(artifact.get("tags") or [], response))
            url = next_page(response, seen)
        return tuple(found)

    def look_up_tag(self, repository: str, tag: str) -> Flow[VendorTag | None]:
        """Ask for one tag's artifact."""
        query = "?with_tag=true&with_immutable_status=true"
        response = yield Request("GET", f"{_path(repository)}/artifacts/{tag}{query}")
        if response.status == 404:
            return None
        artifact = document_of(expect(response, 200, what=f"look up {tag} of {repository}", scope=_READ))
        tags = (_tag(item, artifact.get("digest")) for item in items_of(artifact.get("tags") or [], response))
        return next((each for each in tags if each.name == tag), None)

    def immutable_tags(self, repository: str, tags: Iterable[str]) -> Flow[frozenset[str]]:
        """Read each tag's own state."""
        return marked(self, repository, tags)

    def delete_tag(self, repository: str, tag: str) -> Flow[None]:
        """Remove a tag; its artifact stays."""
        response = yield Request("DELETE", f"{_path(repository)}/artifacts/{tag}/tags/{tag}")
        expect(response, 200, 404, what=f"remove the tag {tag} of {repository}", scope=_DELETE)

    def read_description(self, repository: str) -> Flow[Description]:
        """Read the only text that there is."""
        response = yield Request("GET", _path(repository))
        document = document_of(expect(response, 200, what=f"read the description of {repository}", scope=_READ))
        return Description(str(document.get("description") or ""))

    def write_description(self, repository: str, text: Description) -> Flow[None]:
        """Replace it."""
        response = yield json_request("PUT", _path(repository), {"description": text.full})
        expect(response, 200, what=f"write the description of {repository}", scope=_DESCRIBE)


def _path(repository: str) -> str:
    """Give a repository's path; slashes in its name are encoded twice, for a proxy decodes them once."""
    project, _, name = repository.partition("/")
    return f"/api/v2.0/projects/{quote(project, safe='')}/repositories/{quote(quote(name, safe=''), safe='')}"


def _tag(item: dict[str, Any], digest: object) -> VendorTag:
    immutable = item.get("immutable")
    return VendorTag(
        str(item.get("name")),
        digest if isinstance(digest, str) else None,
        date_of(item.get("push_time")),
        immutable if isinstance(immutable, bool) else None,
    )
