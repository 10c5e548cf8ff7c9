"""Quay's API (docs.quay.io/api): it wants an application's OAuth token, with the scopes for each request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from regkit.errors import AccessDenied, ProtocolError
from regkit.protocol.auth import Login
from regkit.protocol.flow import Flow, Request
from regkit.protocol.page import MAX_PAGES
from regkit.vendors.access import Access, Fixed
from regkit.vendors.answer import date_of, document_of, expect, items_of, json_request
from regkit.vendors.capability import QUAY
from regkit.vendors.immutable import marked
from regkit.vendors.vendor import PAGE_SIZE, Description, Vendor, VendorTag

TOKEN_USER = "$oauthtoken"  # noqa: S105 - a name: as whom Quay's registry, too, takes an OAuth token
_SCOPE = "the application's token needs the scope {} for this"


class Quay(Vendor):
    """Quay's API."""

    capabilities = QUAY

    def access(self, login: Login | None) -> Access:
        """Send the OAuth token that stands as `$oauthtoken`'s password; a robot's or a user's isn't taken."""
        if login is None:
            return Fixed({})
        if login.username != TOKEN_USER or not login.password:
            raise AccessDenied(
                f"Quay's API doesn't take the login of {login.username!r} from {login.origin}: it wants an OAuth token",
                hint=f"make one in the organisation's Applications, and keep it as {TOKEN_USER!r}'s password in"
                " Docker's configuration, under the registry's name with /api/v1",
            )
        return Fixed({"Authorization": f"Bearer {login.password}"}, login.password)

    def list_tags(self, repository: str) -> Flow[tuple[VendorTag, ...]]:
        """Page through the tags that stand now; Quay keeps old ones, too."""
        found: list[VendorTag] = []
        for page in range(1, MAX_PAGES):
            query = f"?onlyActiveTags=true&limit={PAGE_SIZE}&page={page}"
            response = yield Request("GET", f"/api/v1/repository/{repository}/tag/{query}")
            if response.status == 404 and page == 1:
                break
            what = f"list the tags of {repository}"
            document = document_of(expect(response, 200, what=what, scope=_SCOPE.format("repo:read")))
            found += map(_tag, items_of(document.get("tags"), response))
            if document.get("has_additional") is not True:
                break
        else:
            raise ProtocolError(f"the pages of {repository} never end")
        return tuple(found)

    def look_up_tag(self, repository: str, tag: str) -> Flow[VendorTag | None]:
        """Ask for one tag."""
        query = f"?onlyActiveTags=true&limit=1&specificTag={tag}"
        response = yield Request("GET", f"/api/v1/repository/{repository}/tag/{query}")
        if response.status == 404:
            return None
        what = f"look up {tag} of {repository}"
        document = document_of(expect(response, 200, what=what, scope=_SCOPE.format("repo:read")))
        found = map(_tag, items_of(document.get("tags"), response))
        return next((each for each in found if each.name == tag), None)

    def immutable_tags(self, repository: str, tags: Iterable[str]) -> Flow[frozenset[str]]:
        """Read each tag's own state."""
        return marked(self, repository, tags)

    def delete_tag(self, repository: str, tag: str) -> Flow[None]:
        """Remove a tag."""
        response = yield Request("DELETE", f"/api/v1/repository/{repository}/tag/{tag}")
        what = f"remove the tag {tag} of {repository}"
        expect(response, 204, 200, 404, what=what, scope=_SCOPE.format("repo:write"))

    def read_description(self, repository: str) -> Flow[Description]:
        """Read the only text that there is."""
        response = yield Request("GET", f"/api/v1/repository/{repository}?includeTags=false")
        what = f"read the description of {repository}"
        document = document_of(expect(response, 200, what=what, scope=_SCOPE.format("repo:read")))
        return Description(str(document.get("description") or ""))

    def write_description(self, repository: str, text: Description) -> Flow[None]:
        """Replace it."""
        response = yield json_request("PUT", f"/api/v1/repository/{repository}", {"description": text.full})
        what = f"write the description of {repository}"
        expect(response, 200, what=what, scope=_SCOPE.format("repo:write"))


def _tag(item: dict[str, Any]) -> VendorTag:
    digest, immutable = item.get("manifest_digest"), item.get("immutable")
    return VendorTag(
        str(item.get("name")),
        digest if isinstance(digest, str) else None,
        date_of(item.get("start_ts")),
        immutable if isinstance(immutable, bool) else None,
    )
