"""Locations: what a user writes for a Target, and for something in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from regkit.errors import UsageError
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference, check_tag
from regkit.targets.layout import Layout
from regkit.targets.repository import Repository
from regkit.targets.target import Target
from regkit.transport.session import Session

_SCHEMES = ("ocidir://", "oci:")


@dataclass(frozen=True, slots=True)
class Location:
    """A repository or a layout's directory, and a tag or digest in it (None: the layout's only entry)."""

    place: Reference | Path
    identifier: str | None

    def __str__(self) -> str:
        """Give the full spelling."""
        if isinstance(self.place, Reference):
            return str(self.place)
        mark = "" if self.identifier is None else ("@" if ":" in self.identifier else ":") + self.identifier
        place = f"{self.place}/" if ":" in self.place.name else self.place  # lest its end be read as a tag
        return f"ocidir://{place}{mark}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `registry/repository…`, `ocidir://DIR[:tag][@digest]` or `oci:DIR[:tag]`; raise UsageError."""
        for scheme in _SCHEMES:
            if text.startswith(scheme):
                return cls(*_parse_path(text, text.removeprefix(scheme)))
        reference = Reference.parse(text)
        return cls(reference, reference.identifier)

    def open(self, session: Session) -> Target:
        """Give the Target; raise UsageError for a directory that is no layout."""
        if isinstance(self.place, Reference):
            return Repository(session, self.place)
        return Layout(self.place)


def _parse_path(text: str, rest: str) -> tuple[Path, str | None]:
    path, at, digest = rest.partition("@")
    head, colon, tail = path.rpartition(":")
    tag = None
    if colon and "/" not in tail:
        path, tag = head, check_tag(tail)
    if not path:
        raise UsageError(f"{text!r} names no directory", hint="write ocidir://DIR[:tag][@digest]")
    return Path(path), Digest(digest) if at else tag
