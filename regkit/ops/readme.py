"""README pages: made ready, compared with what is shown, sent where they differ, and read back."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regkit.config.find import project_of
from regkit.errors import PartlyDone, RegkitError, UsageError, VerificationFailed
from regkit.events import Note
from regkit.oci.reference import Reference
from regkit.ops.readme_base import Base, base_at, base_of
from regkit.protocol.retry import TRIES, delay
from regkit.transport.session import Session
from regkit.vendors.api import VendorApi, connect, recognise
from regkit.vendors.capability import Shown, Traits
from regkit.vendors.vendor import Description, describes_nothing

MAX_SIZE = 1024 * 1024
"""The largest README that is read, in bytes."""


@dataclass(frozen=True, slots=True)
class Readme:
    """A README: its file, its text, the line above it, and where its links lead, as far as that is known."""

    file: str
    text: str
    short: str | None = None
    base: Base | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A repository that gets a README; `vendor` and `api` are what a user says of its registry, "" for nothing."""

    repository: Reference
    vendor: str = ""
    api: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a repository shows, and what it is to show; texts that aren't meant are None in both."""

    name: str
    vendor: str
    file: str
    shown: Description
    wanted: Description

    @property
    def changed(self) -> bool:
        """Whether there is anything to send: line ends, and white space at the text's end, are the hub's own."""
        return _bare(self.shown) != _bare(self.wanted)

    def lines(self) -> Iterator[str]:
        """Give the difference as a unified diff."""
        if self.wanted.short is not None and _bare(self.shown).short != _bare(self.wanted).short:
            yield from _diff(self.shown.short, self.wanted.short, f"{self.name} short", "short")
        yield from _diff(self.shown.full, self.wanted.full, self.name, self.file)

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {"name": self.name, "vendor": self.vendor, "changed": self.changed, "diff": list(self.lines())}


def read_readme(file: Path, *, short: str | None = None, base: str = "") -> Readme:
    """Read a README; its links lead below `base`, or to where git's remote is. Raise UsageError for a wrong file.

    One that is a link out of its project is refused: a project that was only checked out may have brought it, and it
    would show a stranger's choice of this machine's files.
    """
    if file.is_file() and not file.resolve().is_relative_to(project_of(file).resolve()):
        raise UsageError(f"{file} leads out of the project, to {file.resolve()}", hint="name that file itself")
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_SIZE + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}", hint="name the README's own file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} isn't UTF-8") from None
    if len(data) > MAX_SIZE:
        raise UsageError(f"{file} is larger than {MAX_SIZE} bytes")
    if not text.strip():
        raise UsageError(f"{file} is empty")
    return Readme(str(file), text, short, base_at(base) if base else base_of(file))


def compare(session: Session, readme: Readme, places: Sequence[Place]) -> tuple[Comparison, ...]:
    """Compare a README with what each place shows; raise what keeps one from being asked, or Refused."""
    return tuple(comparison for _, comparison in map(_look(session, readme), places))


def push(session: Session, readme: Readme, places: Sequence[Place]) -> tuple[Comparison, ...]:
    """Send a README where it differs from what is shown, and read it back; give what was there before.

    All places are checked for what they can take before the first is written. Where one of several fails, the others
    still get it; then PartlyDone. Raise AccessDenied with the scope that is missing, NotFound, Refused, UsageError,
    VerificationFailed where it was taken and isn't shown.
    """
    opened = [_open(session, readme, place) for place in places]
    done: list[Comparison] = []
    failed: list[RegkitError] = []
    for each in opened:
        try:
            done.append(_push(session, *each, file=readme.file))
        except RegkitError as error:
            failed.append(error)
    if failed and done:
        said = "; ".join(error.message for error in failed)
        raise PartlyDone(f"{len(done)} of {len(opened)} repositories have the README: {said}", hint=failed[0].hint)
    if failed:
        raise failed[0]
    return tuple(done)


def prepare(readme: Readme, row: Traits, report: Callable[[Note], None]) -> Description:
    """Give the texts for a registry: links absolute, cut to what it takes. Raise UsageError for a wrong short text."""
    from regkit.ops.readme_cut import cut, size_of  # and with them the parser of Markdown
    from regkit.ops.readme_text import rewrite

    left: dict[str, None] = {}

    def resolve(destination: str, image: bool) -> str:  # noqa: FBT001 - a Resolve
        absolute = _ANYWHERE.resolve(destination, image)
        if readme.base is None and absolute != destination:
            left[destination] = None
        return readme.base.resolve(destination, image) if readme.base else destination

    text = rewrite(readme.text, resolve)
    if left:
        report(
            Note(
                f"{len(left)} relative link(s) of {readme.file} stay as they are, {next(iter(left))[:100]!r} first:"
                " git's remote doesn't tell where they lead; give --base URL",
                warning=True,
            )
        )
    if row.full_limit is not None and size_of(text) > row.full_limit:
        whole, text = size_of(text), cut(text, row.full_limit, readme.base.page if readme.base else None)
        report(
            Note(
                f"{readme.file} has {whole} bytes and {row.title} takes {row.full_limit}: cut at a section, to"
                f" {size_of(text)}",
                warning=True,
            )
        )
    return Description(text, short_for(readme.short, row))


_ANYWHERE = Base("https://example.invalid", "https://example.invalid")


def short_for(short: str | None, row: Traits) -> str | None:
    """Give the line above a README as a registry takes it; raise UsageError for one that it doesn't take."""
    if short is None:
        return None
    if not row.short:
        raise UsageError(f"{row.title} has one description, and no short one", hint="leave --short out")
    size = len(short.encode())
    if "\n" in short.strip() or (row.short_limit is not None and size > row.short_limit):
        raise UsageError(
            f"a short description for {row.title} is one line of {row.short_limit} bytes at most, this one has {size}",
            hint="shorten --short",
        )
    return short.strip()


def _open(session: Session, readme: Readme, place: Place) -> tuple[VendorApi, Description]:
    """Open the API of a place, and make ready what it is to show."""
    row = recognise(session, place.repository.registry, place.vendor)
    if row is None:
        host = place.repository.registry
        raise UsageError(
            f"it isn't known whose registry {host} is, and so where it shows READMEs",
            hint=f'is it a Harbor or a Quay? say so: --provider harbor, or vendor = "harbor" in [registry."{host}"]',
        )
    if row.shown is not Shown.API:
        raise describes_nothing(row)
    api = connect(session, place.repository, vendor=row.name, api=place.api)
    return api, prepare(readme, api.vendor.capabilities, session.report)


def _look(session: Session, readme: Readme) -> Callable[[Place], tuple[VendorApi, Comparison]]:
    def look(place: Place) -> tuple[VendorApi, Comparison]:
        api, wanted = _open(session, readme, place)
        return api, _compare(api, wanted, readme.file)

    return look


def _compare(api: VendorApi, wanted: Description, file: str) -> Comparison:
    found = api.run(api.vendor.read_description(api.repository))
    shown = Description(found.full, found.short if wanted.short is not None else None)
    return Comparison(api.name, api.vendor.capabilities.name, file, shown, wanted)


def _push(session: Session, api: VendorApi, wanted: Description, *, file: str) -> Comparison:
    before = _compare(api, wanted, file)
    if not before.changed:
        session.report(Note(f"{api.name} shows this README already: nothing was sent"))
        return before
    api.run(api.vendor.write_description(api.repository, wanted))
    for attempt in range(1, TRIES + 2):
        if not _compare(api, wanted, file).changed:
            session.report(Note(f"{api.name} shows the README"))
            return before
        if attempt <= TRIES:  # hubs show what was written some seconds later
            session.sleep(delay(attempt, None, 0.0) or 0)
    raise VerificationFailed(
        f"{api.name} took the README, and shows something else",
        hint=f"look at it, and at `regkit readme diff --image {api.name} --file {file}`",
    )


def _bare(description: Description) -> Description:
    texts = (description.full, description.short)
    return Description(*(text and "\n".join(text.rstrip().splitlines()) for text in texts))


def _diff(shown: str | None, wanted: str | None, before: str, after: str) -> Iterator[str]:
    one, other = ((text or "").rstrip().splitlines() for text in (shown, wanted))
    yield from difflib.unified_diff(one, other, before, after, lineterm="")
