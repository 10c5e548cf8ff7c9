"""Small files that say what was built and pushed where: how the jobs of a CI matrix tell the last one.

A file a platform, written whole. What a file says is checked against the registry before anything rests on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from regkit.errors import NotFound, Refused, RegkitError, UsageError, VerificationFailed
from regkit.files import cant_write, open_regular, write_whole
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import canonical_json
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference, check_tag
from regkit.ops.entries import fits

SCHEMA = 1
MAX_SIZE = 64 * 1024
MAX_FILES = 1000
_WRITTEN = "regkit build --digest-dir writes such files"


@dataclass(frozen=True, slots=True)
class Record:
    """A platform's image: what names it (itself, or the index over it and its attestations), and where that is."""

    images: tuple[Reference, ...]
    platform: Platform
    descriptor: Descriptor
    tag: str | None = None
    commit: str | None = None

    @property
    def file_name(self) -> str:
        """The file's name: another platform's has another one."""
        return _name(self.platform)

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""
        return {
            "schema": SCHEMA,
            "images": [image.name for image in self.images],
            "platform": str(self.platform),
            "descriptor": self.descriptor.to_json(),
            "tag": self.tag,
            "commit": self.commit,
        }

    @classmethod
    def parse(cls, name: str, raw: bytes) -> Self:
        """Read a file's content; raise UsageError for anything else."""
        try:
            said = json.loads(raw)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict) or "schema" not in said:
            raise UsageError(f"{name} isn't a record of a build", hint=_WRITTEN)
        if said["schema"] != SCHEMA:
            raise UsageError(f"{name} is a record of the unknown schema {said['schema']!r}", hint=_WRITTEN)
        try:
            images, tag, commit = said["images"], said["tag"], said["commit"]
            if not isinstance(images, list) or not images or not all(isinstance(each, str) for each in images):
                raise UsageError("'images' aren't names")
            if not all(each is None or isinstance(each, str) for each in (tag, commit)):
                raise UsageError("'tag' or 'commit' isn't text")
            return cls(
                tuple(Reference.parse_name(image) for image in images),
                Platform.parse(str(said["platform"])),
                Descriptor.from_json(said["descriptor"]),
                tag if tag is None else check_tag(tag),
                commit,
            )
        except KeyError as error:
            raise UsageError(f"{name} isn't a record of a build: it has no {error}", hint=_WRITTEN) from None
        except RegkitError as error:
            raise UsageError(f"{name} isn't a record of a build: {error.message}", hint=_WRITTEN) from None


def record_paths(directory: Path | None, platforms: Iterable[Platform]) -> tuple[Path, ...]:
    """Name the files that records of these platforms are written to; none without a directory."""
    return tuple(directory / _name(platform) for platform in platforms) if directory else ()


def write_record(directory: Path, record: Record) -> Path:
    """Write a record into a directory, which is made where it's missing; give the file."""
    path = directory / record.file_name
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cant_write(directory, error) from None
    write_whole(path, [canonical_json(record.to_json()) + b"\n"])
    return path


def read_records(directory: Path) -> tuple[Record, ...]:
    """Read all `.json` of a directory, and of those in it, as CI systems unpack one a job.

    Raise UsageError for one that isn't a record; Refused where two tell different things of a platform.
    """
    found: dict[Platform, tuple[Path, Record]] = {}
    for path in _files(directory):
        try:
            with open_regular(path) as file:
                raw = file.read(MAX_SIZE + 1)
        except OSError as error:
            raise UsageError(f"{path} can't be read: {error.strerror}") from None
        record = Record.parse(str(path), raw if len(raw) <= MAX_SIZE else b"")
        other, twin = found.setdefault(record.platform.normalized, (path, record))
        if twin.descriptor.digest != record.descriptor.digest:
            raise Refused(
                f"{other} and {path} name two images for {record.platform}: "
                f"{twin.descriptor.digest} and {record.descriptor.digest}",
                hint="one of them is of another run: begin with an empty directory",
            )
    if not found:
        raise NotFound(f"there are no records in {directory}", hint=_WRITTEN)
    return tuple(record for _, record in found.values())


def check_records(
    records: Sequence[Record], images: Sequence[Reference], expected: Sequence[Platform], commit: str | None
) -> Reference:
    """Give the repository that all were pushed to, the first such of `images`.

    Pure. Raise Refused for records of another repository or commit, VerificationFailed where one is missing, or one is
    there that isn't expected.
    """
    shared = [image for image in images if all(image in record.images for record in records)]
    if not shared:
        foreign = next((record for record in records if not set(record.images) & set(images)), None)
        what = f"{foreign.platform} was pushed to {_names(foreign.images)}" if foreign else "they have none in common"
        raise Refused(
            f"the records aren't of {_names(images)}: {what}",
            hint="regkit build has to push to the same --image, and the directory has to be of this run alone",
        )
    told = [("this call", commit), *((str(record.platform), record.commit) for record in records)]
    known = [(who, said.lower()) for who, said in told if said]
    first = known[0] if known else ("", "")
    for who, said in known:
        if not (said.startswith(first[1]) or first[1].startswith(said)):
            raise Refused(
                f"the records are of different commits: {first[0]} is of {first[1]}, {who} of {said}",
                hint="begin with an empty directory for each run",
            )
    check_complete([record.platform for record in records], expected)
    return shared[0]


def check_complete(there: Iterable[Platform], expected: Sequence[Platform]) -> None:
    """Raise VerificationFailed where a platform that is expected is missing, or there is another one."""
    found = list(there)
    if not expected:
        return
    lacking = [platform for platform in expected if not any(fits(platform, each) for each in found)]
    if lacking:
        names = ", ".join(map(str, found)) or "nothing"
        raise VerificationFailed(
            f"there is no image for {', '.join(map(str, lacking))}",
            hint=f"there is {names}; nothing was tagged",
        )
    more = [each for each in found if not any(fits(platform, each) for platform in expected)]
    if more:
        raise VerificationFailed(
            f"there are images that aren't expected: {', '.join(map(str, more))}",
            hint="name them with --expect-platforms, or leave them out; nothing was tagged",
        )


def _files(directory: Path) -> Iterator[Path]:
    if not directory.is_dir():
        raise NotFound(f"there is no directory {directory}", hint=_WRITTEN)
    files = sorted([*directory.glob("*.json"), *directory.glob("*/*.json")])
    if len(files) > MAX_FILES:
        raise UsageError(f"there are more than {MAX_FILES} files in {directory}", hint=_WRITTEN)
    yield from files


def _name(platform: Platform) -> str:
    return f"{platform.slug}.json"


def _names(images: Iterable[Reference]) -> str:
    return ", ".join(image.name for image in images)
