"""Docker Hub (docs.docker.com/reference/api/hub): namespaced paths first, the older ones where those aren't there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

from regkit.errors import AccessDenied, ProtocolError
from regkit.protocol.auth import Login
from regkit.protocol.flow import Flow, Request, Response
from regkit.vendors.access import Access, Fixed, Gained
from regkit.vendors.answer import date_of, document_of, expect, items_of, json_request, next_of, peek
from regkit.vendors.capability import DOCKER_HUB
from regkit.vendors.immutable import matching
from regkit.vendors.vendor import PAGE_SIZE, Description, Vendor, VendorTag

_SCOPE = (
    "a personal access token needs Read, Write, Delete for this; an organisation's token, this repository in its scope"
)
_MISSING = (404, 405)


class DockerHub(Vendor):
    """Docker Hub's API."""

    capabilities = DOCKER_HUB

    def access(self, login: Login | None) -> Access:
        """Log in with the first request: password, personal or organisation token."""
        if login is None:
            return Fixed({})
        if not login.password:
            raise AccessDenied(
                f"the login for Docker Hub from {login.origin} has no password, which its API needs",
                hint="log in to docker.io with a personal access token",
            )
        return Gained(partial(_log_in, login), login.password)

    def list_tags(self, repository: str) -> Flow[tuple[VendorTag, ...]]:
        """Page through the tags."""
        query = f"?page=1&page_size={PAGE_SIZE}"
        response = yield from _ask("GET", repository, "tags", query)
        found: list[VendorTag] = []
        seen: set[str] = set()
        while response.status != 404 or seen:
            document = document_of(expect(response, 200, what=f"list the tags of {repository}", scope=_SCOPE))
            found += map(_tag, items_of(document.get("results"), response))
            following = next_of(response, document.get("next"), seen)
            if following is None:
                break
            response = yield Request("GET", following)
        return tuple(found)

    def look_up_tag(self, repository: str, tag: str) -> Flow[VendorTag | None]:
        """Ask for one tag."""
        response = yield from _ask("GET", repository, f"tags/{tag}")
        if response.status == 404:
            return None
        return _tag(document_of(expect(response, 200, what=f"look up {tag} of {repository}", scope=_SCOPE)))

    def immutable_tags(self, repository: str, tags: Iterable[str]) -> Flow[frozenset[str]]:
        """Read the repository's settings: expressions of Go's, any of which may match anywhere in a tag."""
        response = yield from _ask("GET", repository)
        document = document_of(expect(response, 200, what=f"read the settings of {repository}", scope=_SCOPE))
        settings = document.get("immutable_tags_settings")
        if not isinstance(settings, dict) or settings.get("enabled") is not True:
            return frozenset()
        rules = settings.get("rules")
        return matching(rules if isinstance(rules, list) else [".*"], tags)

    def delete_tag(self, repository: str, tag: str) -> Flow[None]:
        """Remove a tag."""
        response = yield from _ask("DELETE", repository, f"tags/{tag}")
        expect(response, 204, 200, 202, 404, what=f"remove the tag {tag} of {repository}", scope=_SCOPE)

    def read_description(self, repository: str) -> Flow[Description]:
        """Read both texts."""
        response = yield from _ask("GET", repository)
        document = document_of(expect(response, 200, what=f"read the description of {repository}", scope=_SCOPE))
        return Description(str(document.get("full_description") or ""), str(document.get("description") or ""))

    def write_description(self, repository: str, text: Description) -> Flow[None]:
        """Replace the texts that are given."""
        fields = {"full_description": text.full, "description": text.short}
        document = {name: value for name, value in fields.items() if value is not None}
        response = yield from _ask("PATCH", repository, document=document)
        expect(response, 200, 204, what=f"write the description of {repository}", scope=_SCOPE)


def _log_in(login: Login) -> Flow[str | Response]:
    """Ask the token endpoint, and the old login where there is none."""
    new = {"identifier": login.username, "secret": login.password}
    response = yield json_request("POST", "/v2/auth/token", new)
    if response.status in (*_MISSING, 410, 501):
        old = {"username": login.username, "password": login.password}
        response = yield json_request("POST", "/v2/users/login", old)
    document = peek(response)
    if response.status == 401 and isinstance(document, dict) and "login_2fa_token" in document:
        raise AccessDenied(
            f"Docker Hub asks {login.username!r} for a second factor, which a password alone can't give",
            hint="log in to docker.io with a personal access token in the password's place",
        )
    if response.status == 429 or response.status >= 500:
        return response
    expect(
        response,
        200,
        what=f"log in to Docker Hub's API as {login.username!r}",
        scope="use a personal access token, or an organisation's token with the organisation's name as user",
    )
    answer = document_of(response)
    token = answer.get("access_token") or answer.get("token")
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
        raise ProtocolError("Docker Hub's login gave no token")
    return token


def _ask(
    method: str, repository: str, rest: str = "", query: str = "", *, document: dict[str, Any] | None = None
) -> Flow[Response]:
    """Ask by the namespaced path; by the older one where it isn't known.

    An organisation's token may not use that one: then the first answer counts.
    """
    namespace, _, name = repository.partition("/")
    below = f"/{rest}" if rest else ""
    first = yield _request(method, f"/v2/namespaces/{namespace}/repositories/{name}{below}{query}", document)
    if first.status not in _MISSING:
        return first
    second = yield _request(method, f"/v2/repositories/{namespace}/{name}{below}/{query}", document)
    return first if second.status in (401, 403, *_MISSING) and first.status == 404 else second


def _request(method: str, url: str, document: dict[str, Any] | None) -> Request:
    return Request(method, url) if document is None else json_request(method, url, document)


def _tag(item: dict[str, Any]) -> VendorTag:
    digest = item.get("digest")
    updated = date_of(item.get("tag_last_pushed")) or date_of(item.get("last_updated"))
    return VendorTag(str(item.get("name")), digest if isinstance(digest, str) else None, updated)
