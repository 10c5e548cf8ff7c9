"""A cleanup, done: tag by tag, then what they leave behind; then all that stays is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from regkit.errors import AccessDenied, Interrupted, Refused, RegkitError, Unavailable, VerificationFailed
from regkit.events import StageStarted
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference
from regkit.ops.cleaning import Cleaning
from regkit.ops.cleanup_plan import CleanupPlan
from regkit.ops.guard import TagGuard
from regkit.ops.removal import RemovedTags
from regkit.ops.tasks import attempt, outcomes
from regkit.targets.repository import Repository


@dataclass
class Cleaned:
    """What became of a plan."""

    image: Reference
    removed: list[str] = field(default_factory=list)
    deleted: list[Digest] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    failed: dict[str, RegkitError] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON."""
        failed = [{"name": name, "error": error.message} for name, error in self.failed.items()]
        return {
            "image": self.image.name,
            "removed": self.removed,
            "deleted": list(self.deleted),
            "moved": self.moved,
            "failed": failed,
        }

    def lines(self) -> Iterator[str]:
        """Give it for people."""
        yield from (f"removed {self.image.name}:{tag}" for tag in self.removed)
        yield from (f"deleted {self.image.name}@{digest}" for digest in self.deleted)
        yield from (f"kept    {self.image.name}:{tag}: it was moved meanwhile" for tag in self.moved)


def cleanup(cleaning: Cleaning, plan: CleanupPlan) -> Cleaned:
    """Do what a plan says: remove the tags, then what they leave behind; then ask for all that stays.

    Each tag is asked for right before. Before anything is deleted by digest, all tags are looked up again, and what any
    of them leads to stays. What goes wrong with one is in `failed`, and the others go on. Raise AccessDenied where
    these credentials may not do it, Unavailable where the first tag can't be removed for now; once one is removed
    nothing is raised, and what couldn't be looked at is in `failed`, too.
    """
    session, census = cleaning.session, plan.census
    repository = cleaning.repository
    kept = census.kept_by(plan.staying)
    deleted = {descriptor.digest for descriptor in plan.deleted}
    cleaning.untagger.guard = TagGuard(repository, plan.going, census, deleted).guard
    shared = [digest for digest in census.below(plan.going.values()) if digest in kept]
    session.report(StageStarted("clean", f"cleaning {plan.image.name}"))
    removing = RemovedTags(
        session,
        cleaning.untagger,
        plan.going,
        staying=plan.staying,
        spare=deleted,
        also=[digest for digest in shared if census.known[digest].descriptor(digest).is_manifest],
        look=True,
    )
    removing.run()
    done = Cleaned(plan.image, removing.removed, [], removing.moved, dict(removing.failed))
    try:
        if deleted:
            _delete(cleaning, plan, done)
    except Interrupted:
        raise
    except RegkitError as error:
        if not done.removed:
            raise
        done.failed |= {digest: error for digest in deleted if digest not in (*done.deleted, *done.failed)}
    session.report(StageStarted("verify", f"looking at what stays in {plan.image.name}"))
    lost = _lost(repository, plan, kept)
    if lost is not None:
        if plan.image.name in done.failed:
            lost.add(done.failed[plan.image.name].message)
        done.failed[plan.image.name] = lost
    return done


def _delete(cleaning: Cleaning, plan: CleanupPlan, done: Cleaned) -> None:
    """Delete manifests by digest, what lists before what is listed; what a tag leads to by now stays."""
    repository = cleaning.repository
    now = cleaning.read(plan.census, deep=True)
    needed = now.kept_by(now.tags)
    blocked: dict[Digest, str | RegkitError] = {}
    waiting = {each.descriptor.digest: each for each in plan.manifests if each.goes}
    for digest in waiting:
        if now.unread:
            name, why = next(iter(now.unread.items()))
            blocked[digest] = f"{name} can't be read ({why}), and may need it"
        elif digest in needed:
            blocked[digest] = f"{needed[digest]} needs it"
    while waiting:
        ready = [each for each in waiting.values() if not any(other in waiting for other in each.after)]
        ready = ready or list(waiting.values())
        for each in ready:
            digest = each.descriptor.digest
            del waiting[digest]
            stuck = next((other for other in each.after if other in blocked), None)
            if stuck is not None:
                blocked.setdefault(digest, f"{stuck.short}, which stays, needs it")
        going = [each.descriptor for each in ready if each.descriptor.digest not in blocked]
        for descriptor, found in zip(going, outcomes(attempt(repository.delete), going), strict=True):
            if found is True:
                done.deleted.append(descriptor.digest)
            else:
                blocked[descriptor.digest] = found or "the registry doesn't delete it"
    for digest, reason in blocked.items():
        kind = type(reason) if isinstance(reason, AccessDenied | Unavailable) else Refused
        said, hint = (reason.message, reason.hint) if isinstance(reason, RegkitError) else (reason, None)
        done.failed[digest] = kind(f"{plan.image.name}@{digest} stays: {said}", hint=hint)


def _lost(repository: Repository, plan: CleanupPlan, kept: Mapping[Digest, str]) -> RegkitError | None:
    """Ask for every manifest that a tag that stays leads to; say what is missing, or can't be asked for."""
    known, absent = plan.census.known, plan.census.absent
    there = (known[digest].descriptor(digest) for digest in kept if digest in known and digest not in absent)
    asked = [descriptor for descriptor in there if descriptor.is_manifest]
    found = outcomes(attempt(repository.exists), asked)
    lost = [each.digest for each, there in zip(asked, found, strict=True) if there is False]
    silent = [each for each in found if isinstance(each, RegkitError)]
    if not lost and silent:
        silent[0].add(f"so whether all that stays in {plan.image.name} is still there isn't known")
        silent[0].hint = silent[0].hint or "the same command again asks for it"
    if not lost:
        return silent[0] if silent else None
    whose = ", ".join(sorted({kept[digest] for digest in lost}))
    return VerificationFailed(
        f"{plan.image.name} lacks {', '.join(lost)}, which {whose} needs",
        hint=f"regkit verify {plan.image.name}:{kept[lost[0]]} tells what is missing",
    )
