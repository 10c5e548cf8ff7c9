"""One tag and nothing else: the specification's way, the vendor's, a stand-in where that is proven, or a refusal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from regkit.errors import AccessDenied, Refused, RegkitError, Unavailable, UsageError
from regkit.events import Note
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import Manifest
from regkit.oci.reference import Reference
from regkit.ops.presence import looks
from regkit.ops.standin import StandIns
from regkit.targets.repository import Repository
from regkit.transport.session import Session
from regkit.vendors.api import VendorApi, configured, connect, recognise
from regkit.vendors.capability import ByTag, Traits, Untag

_UNKNOWN = (Untag.SPEC, Untag.STAND_IN)
"""What is tried with a registry of which nothing is known."""

PROBE = "regkit-stand-in"
"""The tag of the stand-in that proves that versions can be deleted: one without a tag couldn't be told from others."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What counts on some registries only, so it is asked for there only.

    `holds` tells why what a tag stands on would be lost to the garbage collector without it, None where it wouldn't;
    `is_last` whether no other tag that stays stands on the same.
    """

    holds: Callable[[str], str | None]
    is_last: Callable[[str], bool]


class Untagger:
    """Removes tags of a repository; the first one shows the way, the others follow, and threads may share it.

    Whose the registry is, and where its API, is as the session's configuration says. Without a `guard` nothing is asked
    for.
    """

    def __init__(self, session: Session, reference: Reference, *, guard: Guard | None = None) -> None:
        vendor, self._api = configured(session.registries, reference.registry)
        self.repository = Repository(session, reference)
        self.row: Traits | None = recognise(session, reference.registry, vendor)
        self.guard = guard
        self._session, self._reference = session, reference
        self._stand_ins = StandIns(session, self.repository)
        self._opened: VendorApi | None = None
        self._way: Untag | None = None
        self._stuck: list[RegkitError] | None = None
        self._lock = threading.RLock()

    @property
    def api(self) -> VendorApi:
        """The vendor's API, opened with its first use; raise what keeps it from being used."""
        with self._lock:
            if self._opened is None:
                vendor = self.row.name if self.row else ""
                self._opened = connect(self._session, self._reference, vendor=vendor, api=self._api)
            return self._opened

    def immutable(self, tags: Collection[str]) -> frozenset[str]:
        """Ask the vendor which of these tags it would refuse to remove; where it doesn't tell us, that is a warning.

        Raise Unavailable where its API can't be asked now.
        """
        if not tags or self.row is None or not self.row.immutable:
            return frozenset()
        try:
            return self.api.run(self.api.vendor.immutable_tags(self.api.repository, tags)) & frozenset(tags)
        except Unavailable:
            raise
        except RegkitError as error:
            said = f"which tags of {self.repository.name} are immutable can't be read: {error.message}"
            self._session.report(Note(said, warning=True))
            return frozenset()

    def remove(self, tag: str, manifest: Manifest | None) -> None:
        """Remove a tag; `manifest` is what it stands on, None for what can't be read and so not be put back.

        Raise Refused, with the reason, where the registry can't, or where something that stays would be lost; then
        the tag stands where it stood. Raise AccessDenied where these credentials may not.
        """
        if self._way is None:
            with self._lock:
                if self._stuck is not None:
                    raise self._refusal(tag, self._stuck)
                if self._way is None:
                    self._way = self._find(tag, manifest)
                    return
        try:
            self._go(self._way, tag, manifest)
        except Refused as error:
            raise self._refusal(tag, [error]) from None

    def _find(self, tag: str, manifest: Manifest | None) -> Untag:
        """Try one way after the other; give the one that worked."""
        errors: list[RegkitError] = []
        if self.row is not None and not self.row.untag:
            errors.append(Refused(f"{self.row.title} {self.row.unsafe}", hint=self.row.instead))
        for way in self.row.untag if self.row else _UNKNOWN:
            if way is Untag.STAND_IN and any(isinstance(error, AccessDenied) for error in errors):
                break  # who may not delete a tag may not delete a stand-in
            try:
                self._go(way, tag, manifest)
            except (Refused, AccessDenied, UsageError) as error:
                errors.append(error)
            else:
                return way
        for failure in errors:
            if isinstance(failure, AccessDenied | UsageError):
                raise failure
        if self._stand_ins.are_refused or (self.row is not None and not self.row.untag):
            self._stuck = errors
        raise self._refusal(tag, errors)

    def _go(self, way: Untag, tag: str, manifest: Manifest | None) -> None:
        if way is Untag.SPEC:
            self._by_spec(tag)
        elif way is Untag.API:
            self.api.run(self.api.vendor.delete_tag(self.api.repository, tag))
        elif way is Untag.STAND_IN:
            self._by_stand_in(tag, manifest)
        else:
            self._by_version(tag, manifest)

    def _by_spec(self, tag: str) -> None:
        takes_image = self.row is not None and self.row.by_tag is ByTag.LAST_TAKES_IMAGE
        if self.row and takes_image and self.guard and self.guard.is_last(tag):
            raise Refused(
                f"{self.row.title} {self.row.unsafe}, and no other tag that stays is on it", hint=self.row.instead
            )
        if not self.repository.untag(tag):
            raise Refused("the registry can't remove a tag alone")

    def _by_stand_in(self, tag: str, manifest: Manifest | None) -> None:
        """Where tags can't be removed, they may be all that protects an image from the garbage collector."""
        held = self.guard.holds(tag) if self.guard else None
        if held is not None:
            raise Refused(held, hint="keep it, or add --force where that collector never runs")
        self._stand_ins.prove()
        # One at a time: docker-registry 2.8 looks through all tags while it deletes by digest, and where another one
        # is written or goes meanwhile it gives up, and leaves a tag that stands on nothing.
        with self._lock:
            self._stand_ins.replace(tag, _readable(manifest), self._stand_ins.delete)

    def _by_version(self, tag: str, manifest: Manifest | None) -> None:
        known = _readable(manifest)
        if not self._stand_ins.is_proven:
            self.api.run(self.api.vendor.look_up_tag(self.api.repository, tag))  # nothing is pushed where it's down
        self._stand_ins.prove_under(PROBE, self._delete_version(PROBE))
        self._stand_ins.replace(tag, known, self._delete_version(tag))

    def _delete_version(self, tag: str) -> Callable[[Descriptor], None]:
        """Give what deletes a stand-in as a version, once the vendor's list shows it."""

        def delete(made: Descriptor) -> None:
            api = self.api
            for _ in looks(self._session):
                shown = api.run(api.vendor.look_up_tag(api.repository, tag))
                if shown is not None and shown.digest == made.digest:
                    break
            api.run(api.vendor.delete_version(api.repository, tag, made.digest))

        return delete

    def _refusal(self, tag: str, errors: list[RegkitError]) -> Refused:
        why = "; ".join(dict.fromkeys(error.message for error in errors))
        hints = [error.hint for error in errors if error.hint]
        return Refused(
            f"{self.repository.name}:{tag} stays: {why}",
            hint=hints[-1] if hints else "deleting by digest would take every tag on it, so regkit doesn't",
        )


def _readable(manifest: Manifest | None) -> Manifest:
    if manifest is None:
        raise Refused("what it stands on can't be read, and so couldn't be put back")
    return manifest


def by_vendor(session: Session, reference: Reference) -> Untagger | None:
    """Give what removes tags by the API of the vendor that has a repository; None where there is none."""
    untagger = Untagger(session, reference)
    ways = untagger.row.untag if untagger.row else ()
    return untagger if Untag.API in ways or Untag.VERSION in ways else None
