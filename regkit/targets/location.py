"""Locations: what a user writes for a Target, and for something in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

from regkit.errors import UsageError
from regkit.oci.annotation import check_ref_name
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference, check_tag
from regkit.targets.layout import Layout
from regkit.targets.repository import Repository
from regkit.targets.target import Target, digest_or_none
from regkit.transport.session import Session

_LAYOUTS = ("ocidir://", "oci:")
_ARCHIVE = "oci-archive:"
_DOCKER_ARCHIVE = "docker-archive:"
_HINT = "write NAME[:tag][@digest], ocidir://DIR[:name], oci-archive:FILE[:name] or docker-archive:FILE[:NAME:tag]"
_PATH = re.compile(r"(?P<path>.*:.*/|[^:]*)(?::(?P<name>.*))?", re.DOTALL)
_DIGEST = re.compile(r"@((?:sha256|sha512):.*)$", re.DOTALL)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(://|:)")
_FOREIGN = frozenset(
    {"containers-storage", "dir", "docker", "docker-daemon", "docker-image", "oci-layout", "ostree", "sif", "tarball"}
)
"""What other tools write before a colon; as images of Docker Hub, these names would be a surprise."""


class ArchiveFile(NamedTuple):
    """A file that holds an image layout."""

    path: Path


class DockerFile(NamedTuple):
    """A file as `docker save` writes it, or what it has of one repository (`docker.io/library/hello`)."""

    path: Path
    repository: str | None = None


Place: TypeAlias = Reference | Path | ArchiveFile | DockerFile


class Location(NamedTuple):
    """A repository, a layout's directory or an archive, and a tag, name or digest in it (None: its only entry)."""

    place: Place
    identifier: str | None

    def __str__(self) -> str:
        """Give the full spelling."""
        if isinstance(self.place, Reference):
            return str(self.place)
        mark = "" if self.identifier is None else ("@" if digest_or_none(self.identifier) else ":") + self.identifier
        if isinstance(self.place, DockerFile):
            repository = f":{self.place.repository}" if self.place.repository else ""
            # Without a repository, a tag stands where a name would: the empty name says so.
            gap = ":" if not repository and mark.startswith(":") else ""
            return f"{_DOCKER_ARCHIVE}{self.place.path}{repository}{gap}{mark}"
        path = self.place.path if isinstance(self.place, ArchiveFile) else self.place
        scheme = _ARCHIVE if isinstance(self.place, ArchiveFile) else _LAYOUTS[0]
        return f"{scheme}{f'{path}/' if ':' in str(path) else path}{mark}"  # lest its end be read as a name

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `registry/repository…`, or a place that a scheme names; raise UsageError."""
        for scheme in _LAYOUTS:
            if text.startswith(scheme):
                return cls(*_parse_path(text, text.removeprefix(scheme), "directory"))
        if text.startswith(_ARCHIVE):
            path, identifier = _parse_path(text, text.removeprefix(_ARCHIVE), "file")
            return cls(ArchiveFile(path), identifier)
        if text.startswith(_DOCKER_ARCHIVE):
            return cls(*_parse_docker(text, text.removeprefix(_DOCKER_ARCHIVE)))
        scheme_found = _SCHEME.match(text)
        if scheme_found and (scheme_found[2] == "://" or scheme_found[1].lower() in _FOREIGN):
            raise UsageError(
                f"{text!r} begins with {scheme_found[0]!r}, which names no place that is known", hint=_HINT
            )
        if text.startswith((".", "/", "~")):
            raise UsageError(
                f"{text!r} is a path, and it isn't said what is there",
                hint=f"write ocidir://{text} for a layout; for a file {_ARCHIVE}{text} or {_DOCKER_ARCHIVE}{text}",
            )
        reference = Reference.parse(text)
        return cls(reference, reference.identifier)

    def open(self, session: Session, *, create: bool = False, mirrors: bool = True) -> Target:
        """Give the Target; with `create`, a layout or archive is begun where there is none, once something is written.

        With `create`, or without `mirrors`, a registry is asked itself: what is decided there has to be of today.
        Raise UsageError for a file or directory that is none.
        """
        match self.place:
            case Reference():
                return Repository(session, self.place, pull=mirrors and not create)
            case ArchiveFile(path):
                from regkit.targets.archive import Archive

                return Archive(path, create=create)
            case DockerFile(path, repository):
                from regkit.targets.docker_archive import DockerArchive

                return DockerArchive(path, repository, create=create)
            case path:
                return Layout(path, create=create)


def _parse_path(text: str, rest: str, kind: str) -> tuple[Path, str | None]:
    """Read `PATH[:NAME][@digest]`: the name begins behind the first colon, as with skopeo, and may have more of them.

    A path that has one is written with `/` at its end, which no name has.
    """
    found = _DIGEST.search(rest)
    path, digest = (rest[: found.start()], Digest(found[1])) if found else (rest, None)
    parts = _PATH.fullmatch(path)
    assert parts is not None
    path, name = parts["path"], parts["name"]
    if name is not None:
        check_ref_name(name)
    if "@" in path:
        raise UsageError(f"{text!r} names no {kind}: what follows an '@' there is a digest", hint=_HINT)
    return _path(text, path, kind), digest or name


def _parse_docker(text: str, rest: str) -> tuple[DockerFile, str | None]:
    """Read `FILE[:NAME[:tag]][@digest]`, or `FILE::tag` for a tag without a name."""
    before, at, after = rest.partition("@")
    path, colon, name = before.partition(":")
    digest = Digest(after) if at else None
    if not colon:
        return DockerFile(_path(text, path, "file")), digest
    if name.startswith(":"):
        return DockerFile(_path(text, path, "file")), digest or check_tag(name[1:])
    reference = Reference.parse(name)
    return DockerFile(_path(text, path, "file"), reference.name), digest or reference.identifier


def _path(text: str, path: str, kind: str) -> Path:
    if not path:
        raise UsageError(f"{text!r} names no {kind}", hint=_HINT)
    if "\0" in path:
        raise UsageError(f"{text!r} names no {kind}: no name has a null byte", hint=_HINT)
    return Path(path)
