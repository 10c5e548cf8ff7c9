"""What a location means as the source, and as the destination, of content."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from regkit.errors import UsageError
from regkit.files import check_writable
from regkit.oci.annotation import REF_NAME
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference, check_tag
from regkit.targets.local import LocalTarget
from regkit.targets.location import DockerFile, Location
from regkit.targets.target import Target, digest_or_none
from regkit.transport.session import Session

DEFAULT_TAG = "latest"


def place_name(location: Location) -> str:
    """Give the name of the place, without the tag or digest in it."""
    if isinstance(location.place, Reference):
        return location.place.name
    return str(location._replace(identifier=None)).rstrip("/")


def source_name(target: Target, location: Location) -> tuple[str, str | None]:
    """Tell what a source is asked for, and the tag by which it goes, if any; raise UsageError where that is open."""
    if location.identifier is not None:
        tag = location.place.tag if isinstance(location.place, Reference) else None
        return location.identifier, tag or (None if digest_or_none(location.identifier) else location.identifier)
    roots = target.roots if isinstance(target, LocalTarget) else ()
    if len(roots) != 1:
        names = ", ".join(target.tags()) or "no named one"
        raise UsageError(f"{place_name(location)} has {len(roots)} entries", hint=f"name one of them: {names}")
    return roots[0].digest, roots[0].annotations.get(REF_NAME)


def check_places(session: Session, locations: Iterable[Location], files: Iterable[Path] = ()) -> None:
    """Raise UsageError for a place, or a file, that can't be written to: after a build that would be late."""
    for location in locations:
        target = location.open(session, create=True)
        if isinstance(target, LocalTarget):
            target.check_writable()
    for path in files:
        check_writable(path)


def destination_name(location: Location, source_tag: str | None) -> tuple[str | None, Digest | None]:
    """Tell the tag that is to be written, and the digest that is expected, each None where there is none.

    A repository without either is `:latest`, as everywhere; a layout or an archive takes the source's name, what
    Docker saves only a tag.
    """
    if isinstance(location.place, Reference):
        tag, digest = location.place.tag, location.place.digest
        return tag or (None if digest else DEFAULT_TAG), digest
    if location.identifier is None:
        return as_name(location, source_tag or DEFAULT_TAG), None
    digest = digest_or_none(location.identifier)
    return (None, digest) if digest else (location.identifier, None)


def as_name(location: Location, name: str) -> str:
    """Give back a name by which something may stand there; raise UsageError where it takes only tags, and it is none.

    A layout's name may be `x/y:1` (image-spec, annotations.md).
    """
    if isinstance(location.place, Reference | DockerFile):
        try:
            return check_tag(name)
        except UsageError:
            there = place_name(location)
            raise UsageError(
                f"{there} takes only tags, and {name!r} is none", hint="copy it alone, and name the tag that it gets"
            ) from None
    return name


def check_no_name(location: Location) -> None:
    """Raise UsageError where a tag or digest is named, though all are meant."""
    named = location.identifier
    if isinstance(location.place, Reference):
        named = location.place.tag or location.place.digest
    if named is not None:
        raise UsageError(f"{location} names one entry, and all tags are to be copied", hint="leave its tag out")


def entry_annotations(target: Target, name: str) -> dict[str, str]:
    """Give what a layout's own index says of a name, apart from that name; a registry says nothing."""
    roots = target.roots if isinstance(target, LocalTarget) else ()
    found = next((root.annotations for root in roots if root.annotations.get(REF_NAME) == name), {})
    return {key: value for key, value in found.items() if key != REF_NAME}
