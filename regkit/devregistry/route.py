"""What a request says of itself: the repository and chapter that its path leads to, headers, a small body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from regkit.devregistry.answer import Fault
from regkit.protocol.flow import Request, read_bounded

_PATH = re.compile(
    r"/v2/(?P<repository>.+)/"
    r"(?:(?P<tags>tags)/list|blobs/(?P<uploads>uploads)(?:/(?P<session>[^/]*))?"
    r"|(?P<chapter>blobs|manifests|referrers)/(?P<name>[^/]+))"
)


class Route(NamedTuple):
    """A request's path, taken apart as the registry does: the longest repository that fits is the one.

    `chapter` is `manifests`, `blobs`, `uploads`, `referrers`, `tags`, or "" for all else; `name` is a tag, a digest
    or an upload's id.
    """

    repository: str
    chapter: str
    name: str
    query: Mapping[str, str]

    @classmethod
    def of(cls, request: Request) -> Route:
        """Read a request's path and query."""
        parts = urlsplit(request.url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        found = _PATH.fullmatch(unquote(parts.path))
        if found is None:
            return cls("", "", "", query)
        chapter = found["chapter"] or found["uploads"] or found["tags"]
        return cls(found["repository"], chapter, found["name"] or found["session"] or "", query)

    @property
    def is_digest(self) -> bool:
        """Whether the name is a digest rather than a tag."""
        return ":" in self.name


def tags_of(request: Request) -> tuple[str, ...]:
    """Give the tags in the query of a push by digest (distribution-spec, Pushing Manifests)."""
    return tuple(value for name, value in parse_qsl(urlsplit(request.url).query) if name == "tag")


def header(request: Request, name: str) -> str:
    """Give a request's header, however its name is written; "" where it isn't there."""
    return next((value for key, value in request.headers.items() if key.lower() == name), "")


def origin(request: Request, scheme: str) -> str:
    """Give `scheme://host` as the client wrote it: from an absolute URL, or the `Host` header."""
    parts = urlsplit(request.url)
    return f"{scheme}://{parts.netloc or header(request, 'host') or 'localhost'}"


def at(request: Request, path: str) -> Request:
    """Give the request, asked of another path of the registry, without a query."""
    return replace(request, url=urlsplit(request.url)._replace(path=path, query="").geturl())


def with_query(request: Request, query: Mapping[str, str]) -> Request:
    """Give the request with another query."""
    return replace(request, url=urlsplit(request.url)._replace(query=urlencode(query)).geturl())


def read_body(request: Request, limit: int) -> bytes:
    """Read a small body; raise a Fault for more than `limit` bytes."""
    with request.body.open() as stream:
        raw = read_bounded(stream, limit)
    if raw is None:
        raise Fault(413, "SIZE_INVALID", f"there may be {limit} bytes at most")
    return raw
