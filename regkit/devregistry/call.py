"""A request on its way to a chapter: what stands in it is parsed here, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import parse_qsl, urlsplit

from regkit.devregistry.answer import Fault
from regkit.errors import UsageError
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE
from regkit.oci.reference import Reference, check_tag
from regkit.protocol.flow import Request, read_bounded

UNKNOWN_SIZE = -1
"""The `size` of a body that comes in chunks, without a Content-Length."""


@dataclass(frozen=True)
class Call:
    """A request on its way to a chapter: the names in its path, unchecked, and its query."""

    request: Request
    repository: str
    name: str
    query: Mapping[str, str]

    @cached_property
    def digest(self) -> Digest:
        """The name as a digest."""
        return parse_digest(self.name)

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The tags that the query gives to a manifest (`?tag=1.2&tag=latest`), each once."""
        given = parse_qsl(urlsplit(self.request.url).query, keep_blank_values=True)
        return tuple(dict.fromkeys(parse_tag(value) for name, value in given if name == "tag"))

    def header(self, name: str) -> str | None:
        """Give a header, however its name is written."""
        return next((v for k, v in self.request.headers.items() if k.lower() == name), None)

    @cached_property
    def length(self) -> int | None:
        """How many bytes the body promises; None where it comes in chunks."""
        size, stated = self.request.body.size, self.header("content-length")
        if stated is not None and (not stated.isdecimal() or (size != UNKNOWN_SIZE and int(stated) != size)):
            raise Fault(400, "SIZE_INVALID", f"the body isn't the {stated[:20]!r} bytes that Content-Length says")
        return None if size == UNKNOWN_SIZE else size


def read_manifest(call: Call) -> bytes:
    """Read a manifest's bytes; raise a Fault for more than it may have, or fewer than promised."""
    raw = None
    if (call.length or 0) <= MAX_SIZE:
        with call.request.body.open() as stream:
            raw = read_bounded(stream, MAX_SIZE)
    if raw is None:
        raise Fault(413, "MANIFEST_INVALID", f"a manifest may have {MAX_SIZE} bytes at most")
    if call.length is not None and len(raw) != call.length:
        raise Fault(400, "SIZE_INVALID", f"{len(raw)} of {call.length} bytes arrived")
    return raw


@lru_cache(maxsize=1024)
def check_repository(name: str) -> None:
    """Raise a Fault for what isn't a repository's name; nothing else reaches a store."""
    try:
        valid = Reference.parse_name(f"localhost/{name}").repository == name
    except UsageError:
        valid = False
    if not valid:
        raise Fault(400, "NAME_INVALID", f"not a repository's name: {name[:260]!r}")


def parse_digest(text: str) -> Digest:
    """Read a digest; raise a Fault for what isn't one of a supported algorithm."""
    try:
        return Digest(text)
    except UsageError as error:
        raise Fault(400, "DIGEST_INVALID", error.message) from None


def parse_tag(text: str) -> str:
    """Read a tag; raise a Fault for what isn't one."""
    try:
        return check_tag(text)
    except UsageError as error:
        raise Fault(400, "MANIFEST_INVALID", error.message) from None
