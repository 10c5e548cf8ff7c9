"""The README of a release: on the page of each repository that has one, and in a line on the index for the others.

A page is never worth a release: what goes wrong here is told when the release is up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from regkit.errors import Interrupted, NotFound, PartlyDone, RegkitError, UsageError
from regkit.events import Note, StageStarted
from regkit.oci.annotation import DESCRIPTION
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference
from regkit.ops.readme import Comparison, Place, Readme, compare, push, read_readme, short_for
from regkit.transport.session import Session
from regkit.vendors.api import recognise
from regkit.vendors.capability import Shown, Traits
from regkit.vendors.find import by_host, named

DESCRIPTION_LIMIT = 512
"""How many characters GitHub's registry takes: "a text-only description limited to 512 characters"."""


@dataclass(frozen=True, slots=True)
class Page:
    """A README, and the repositories of a release that it is about."""

    readme: Readme
    places: tuple[Place, ...]

    @classmethod
    def read(cls, file: Path, places: Sequence[Place], *, short: str | None = None) -> Self:
        """Read a README; raise UsageError for a wrong file, or for a short text that a registry wouldn't take."""
        page = cls(read_readme(file, short=short), tuple(places))
        for place in places:
            row = _known(place)
            if row is not None and row.short:
                short_for(short, row)
            if row is not None and row.shown is Shown.INDEX and short and len(short) > DESCRIPTION_LIMIT:
                raise UsageError(
                    f"{row.title} shows {DESCRIPTION_LIMIT} characters of a description, and this has {len(short)}",
                    hint="shorten --short",
                )
        return page

    @property
    def digest(self) -> Digest:
        """That of the text."""
        return Digest.of(self.readme.text.encode())

    def describe(self, described: Mapping[str, str]) -> dict[str, str]:
        """Add the index's description where a registry shows that, and no README.

        It is the short text, else what is known already, else the README's first paragraph.
        """
        rows = map(_known, self.places)
        if not any(row is not None and row.shown is Shown.INDEX for row in rows):
            return dict(described)
        said = self.readme.short or described.get(DESCRIPTION) or self._summary()
        return {**described, DESCRIPTION: " ".join(said.split())} if said else dict(described)

    def _summary(self) -> str:
        from regkit.ops.readme_summary import summary  # and with it the parser of Markdown

        return summary(self.readme.text, DESCRIPTION_LIMIT)

    def state(self, session: Session) -> tuple[PageState, ...]:
        """Tell for each repository what becomes of its page; nothing is sent."""
        return tuple(_state(session, self.readme, place) for place in self.places)

    def show(self, session: Session, images: Collection[Reference]) -> tuple[tuple[Comparison, ...], PartlyDone | None]:
        """Send it where it differs, for those repositories that are among `images`; give what failed, and don't raise.

        Give what was there before, of those that succeeded.
        """
        session.report(StageStarted("readme", f"showing {self.readme.file}"))
        done: list[Comparison] = []
        failed: list[tuple[Place, RegkitError]] = []
        for place in self.places:
            if place.repository not in images:
                continue
            try:
                row = _row(session, place)
                if row is None or row.shown is not Shown.API:
                    session.report(Note(_shows_none(place, row)))
                else:
                    done += push(session, _for(self.readme, row), [place])
            except Interrupted:
                raise
            except RegkitError as error:
                failed.append((place, error))
                session.report(Note(f"{place.repository.name} doesn't show the README: {error.message}", warning=True))
        return tuple(done), self._failure(failed)

    def _failure(self, failed: Sequence[tuple[Place, RegkitError]]) -> PartlyDone | None:
        if not failed:
            return None
        said = "; ".join(error.message for _, error in failed)
        names = " ".join(f"--image {place.repository.name}" for place, _ in failed)
        again = f"the same command again sends it, and so does regkit readme push {names} --file {self.readme.file}"
        cause = failed[0][1].hint
        return PartlyDone(
            f"the release is up, but the README isn't shown: {said}",
            hint=f"{cause}{' ' if cause.endswith('?') else '; '}{again}" if cause else again,
        )


@dataclass(frozen=True, slots=True)
class PageState:
    """What becomes of a repository's page; `changed` is None where nothing is sent, or nobody can tell."""

    name: str
    changed: bool | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return {"name": self.name, "changed": self.changed, "reason": self.reason}


def _state(session: Session, readme: Readme, place: Place) -> PageState:
    name = place.repository.name
    try:
        row = _row(session, place)
        if row is None or row.shown is not Shown.API:
            return PageState(name, None, _shows_none(place, row))
        (found,) = compare(session, _for(readme, row), [place])
    except NotFound:
        return PageState(name, changed=True, reason=f"{name} has no page yet, and gets {readme.file}")
    except Interrupted:
        raise
    except RegkitError as error:
        return PageState(name, None, f"nobody can tell what {name} shows: {error.message}")
    reason = f"something else, and gets {readme.file}" if found.changed else f"{readme.file} already"
    return PageState(name, found.changed, f"{name} shows {reason}")


def _known(place: Place) -> Traits | None:
    """Tell whose a registry is without asking it."""
    return named(place.vendor) if place.vendor else by_host(place.repository.registry)


def _row(session: Session, place: Place) -> Traits | None:
    return recognise(session, place.repository.registry, place.vendor)


def _for(readme: Readme, row: Traits) -> Readme:
    """Leave out the short text where there is none."""
    return readme if row.short else replace(readme, short=None)


def _shows_none(place: Place, row: Traits | None) -> str:
    if row is not None and row.shown is Shown.INDEX:
        return f"{place.repository.name} shows the index's description, and no README"
    return f"{place.repository.name} shows no README"
