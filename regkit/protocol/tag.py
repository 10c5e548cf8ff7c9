"""Tags: listed, and removed one by one (distribution-spec, Listing Tags, Deleting tags)."""

from __future__ import annotations

from regkit.errors import ProtocolError, Refused
from regkit.oci.manifest import MAX_SIZE
from regkit.protocol.flow import Flow, Request, Scope, expect
from regkit.protocol.page import next_page

PAGE_SIZE = 1000


def list_tags(repository: str, actions: str = "pull") -> Flow[tuple[str, ...]]:
    """List all tags, in the registry's order; a repository that doesn't exist has none."""
    url: str | None = f"/v2/{repository}/tags/list?n={PAGE_SIZE}"
    scope = Scope(repository, actions)
    tags: dict[str, None] = {}
    seen: set[str] = set()
    while url is not None:
        response = yield Request("GET", url, scope=scope)
        if response.status == 404 and not seen:
            break
        page = expect(response, 200, what=f"list the tags of {repository}").json(MAX_SIZE)
        names = page.get("tags") if isinstance(page, dict) else None
        if not isinstance(names, list | None):
            raise ProtocolError(f"the list of tags of {repository} isn't a list")
        tags.update(dict.fromkeys(str(name) for name in names or ()))
        url = next_page(response, seen)
    return tuple(tags)


def has_no_tags(repository: str) -> Flow[bool]:
    """Tell whether a repository has no tags, or isn't there, by one short page; False where that stays open."""
    response = yield Request("GET", f"/v2/{repository}/tags/list?n=1", scope=Scope(repository, "pull"))
    if response.status == 404:
        return True
    if response.status != 200 or "link" in response.headers:
        return False
    page = response.json(MAX_SIZE)
    return isinstance(page, dict) and page.get("tags", ()) in (None, [], ())


def pages_tags(repository: str) -> Flow[bool | None]:
    """Tell whether a registry gives tags page by page, as distribution 2.x doesn't; None where that stays open."""
    response = yield Request("GET", f"/v2/{repository}/tags/list?n=1", scope=Scope(repository, "pull"))
    if response.status != 200:
        return None
    page = response.json(MAX_SIZE)
    names = page.get("tags") if isinstance(page, dict) else None
    if isinstance(names, list) and len(names) > 1:
        return False
    return True if "link" in response.headers else None


def delete_tag(repository: str, tag: str) -> Flow[bool]:
    """Remove a tag, nothing else; False where the registry can't. One that isn't there is removed."""
    response = yield Request("DELETE", f"/v2/{repository}/manifests/{tag}", scope=Scope(repository, "delete,pull,push"))
    if response.status in (400, 405, 415, 501):
        # distribution 2.x answers 400 or 405, Docker Hub and GHCR 405, Harbor UNSUPPORTED.
        return False
    try:
        expect(response, 200, 202, 204, 404, what=f"remove the tag {tag} of {repository}")
    except Refused:  # an immutable one
        return False
    return True
