"""GitHub's registry: its REST API knows versions, a digest with all its tags (docs.github.com/rest/packages)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from regkit.errors import AccessDenied, Refused
from regkit.oci.digest import Digest
from regkit.protocol.auth import Login
from regkit.protocol.flow import Flow, Request
from regkit.vendors.access import Access, Fixed
from regkit.vendors.answer import date_of, expect, explanation
from regkit.vendors.capability import GHCR
from regkit.vendors.pages import pages
from regkit.vendors.vendor import PAGE_SIZE, Vendor, VendorTag

_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_READ = "a classic token needs read:packages for this"
_DELETE = "a classic token needs delete:packages and read:packages for this, and the account the package's Admin role"


class Ghcr(Vendor):
    """GitHub's API for packages."""

    capabilities = GHCR

    def access(self, login: Login | None) -> Access:
        """Send the registry's token as GitHub's own."""
        if login is None:
            return Fixed(_HEADERS)
        secret = login.password or login.registry_token
        if not secret:
            raise AccessDenied(
                f"the login for ghcr.io from {login.origin} has no token, which GitHub's API needs",
                hint="log in to ghcr.io with a classic personal access token",
            )
        return Fixed({**_HEADERS, "Authorization": f"Bearer {secret}"}, secret)

    def list_tags(self, repository: str) -> Flow[tuple[VendorTag, ...]]:
        """Page through the versions; a version's tags have its date."""
        versions = yield from _versions(repository)
        return tuple(
            VendorTag(tag, str(version.get("name")), date_of(version.get("updated_at")))
            for version in versions
            for tag in _tags(version)
        )

    def look_up_tag(self, repository: str, tag: str) -> Flow[VendorTag | None]:
        """Look for a tag in the list: there is no other way."""
        found = yield from self.list_tags(repository)
        return next((each for each in found if each.name == tag), None)

    def delete_tag(self, repository: str, tag: str) -> Flow[None]:
        """Refuse: the version that has the tag would go with it."""
        raise Refused(
            f"GitHub can't remove the tag {tag} of {repository} alone: it deletes what the tag stands on",
            hint="the tag has to be moved onto a stand-in first, which is deleted as a version",
        )

    def delete_version(self, repository: str, tag: str, digest: Digest) -> Flow[None]:
        """Remove the version `digest`, if `tag` is the only tag on it; one that isn't there is removed."""
        versions = yield from _versions(repository)
        version = next((each for each in versions if each.get("name") == digest), None)
        if version is None:
            return
        if _tags(version) != (tag,):
            others = ", ".join(_tags(version)) or "none"
            raise Refused(f"{digest} of {repository} stays: its tags are {others}, and {tag} alone was to go")
        response = yield Request("DELETE", f"{version['base']}/{version.get('id')}", _HEADERS)
        if response.status == 400:
            raise Refused(
                f"GitHub keeps {tag} of {repository}: {explanation(response) or 'it gave no reason'}",
                hint="it deletes neither a package's last tagged version nor one with more than 5,000 downloads",
            )
        expect(response, 204, 404, what=f"delete the version {digest} of {repository}", scope=_DELETE)


def _versions(repository: str) -> Flow[list[dict[str, Any]]]:
    """List all versions, each with its `base`; none of a package that doesn't exist."""
    owner, _, name = repository.partition("/")
    for kind in ("orgs", "users"):
        base = f"/{kind}/{quote(owner)}/packages/container/{quote(name, safe='')}/versions"
        url = f"{base}?per_page={PAGE_SIZE}"
        found = yield from pages(url, what=f"list the versions of {repository}", scope=_READ)
        if found is not None:
            return [{**version, "base": base} for version in found]
    return []


def _tags(version: dict[str, Any]) -> tuple[str, ...]:
    metadata = version.get("metadata")
    container = metadata.get("container") if isinstance(metadata, dict) else None
    tags = container.get("tags") if isinstance(container, dict) else None
    return tuple(str(tag) for tag in tags) if isinstance(tags, list) else ()
