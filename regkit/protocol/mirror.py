"""Mirrors: which requests they may answer, and what those are there (containers-registries.conf(5))."""

from __future__ import annotations

import re
from dataclasses import replace

from regkit.protocol.flow import Request, Scope

_CONTENT = re.compile(r"/v2/(?P<repository>.+)/(?P<rest>(?:manifests|blobs)/[^/?]+)")


def at_mirror(request: Request, prefix: str = "", *, tags: bool = True) -> Request | None:
    """Give the request for a mirror that has the repositories under `prefix`; None for what no mirror answers.

    Those are reads of manifests and blobs alone, made with no more than the right to pull. What a registry lists, its
    tags and referrers, is its own to say; without `tags`, to what a tag leads, too.
    """
    found = _CONTENT.fullmatch(request.url)
    scope = request.scope
    if found is None or request.method not in ("GET", "HEAD") or scope is None or scope.actions != "pull":
        return None
    if not tags and ":" not in found["rest"]:
        return None
    repository = "/".join(filter(None, (prefix, found["repository"])))
    return replace(request, url=f"/v2/{repository}/{found['rest']}", scope=Scope(repository, "pull"))
