"""Which tags go, and why: rules over names, versions and ages; pure.

A tag goes if a rule lets it go and none keeps it. Where the answer isn't known, the tag stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from semver import Version

from regkit.config.spec import CleanupConfig
from regkit.oci.digest import Digest
from regkit.ops.versions import version_of

_ALIAS = re.compile(r"v?[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag, where it stands, and when that was made; None for an age that isn't known."""

    tag: str
    digest: Digest
    created: datetime | None = None


class Chooser(Protocol):
    """What chooses tags by a regular expression, all tags where there is none."""

    @property
    def match(self) -> str | None:
        """The expression."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a tag goes, and why (not)."""

    goes: bool
    reason: str


def matches(chooser: Chooser, tag: str) -> bool:
    """Tell whether a policy, or what else chooses so, is for a tag: its expression has to match all of it."""
    return chooser.match is None or re.fullmatch(chooser.match, tag) is not None


def wants_age(policy: CleanupConfig) -> bool:
    """Tell whether a policy has to know how old its tags are."""
    return bool(policy.keep) or policy.older_than is not None


def decide(tags: Sequence[Tagged], policies: Iterable[CleanupConfig], now: datetime) -> Mapping[str, Verdict]:
    """Decide on every tag. Of several policies that are for the same tag, one that keeps it is enough."""
    found: dict[str, Verdict] = {}
    several = len(chosen := tuple(policies)) > 1
    for policy in chosen:
        said = f"{policy.name}: " if several else ""
        for tag, verdict in _apply(policy, [each for each in tags if matches(policy, each.tag)], now).items():
            standing = found.get(tag)
            if standing is None or standing.goes:
                found[tag] = Verdict(verdict.goes, f"{said}{verdict.reason}")
    nobody = Verdict(goes=False, reason="no rule is for it")
    return {each.tag: found.get(each.tag, nobody) for each in tags}


def _apply(policy: CleanupConfig, tags: Sequence[Tagged], now: datetime) -> dict[str, Verdict]:
    """Decide for the tags that a policy is for; none where it has no rule for tags."""
    kept: dict[str, str] = {}
    lets_go: dict[str, list[str]] = {each.tag: [] for each in tags}
    if policy.keep is not None:
        _newest(policy.keep, tags, kept, lets_go)
    if policy.keep_semver is not None:
        _highest(policy.keep_semver, tags, kept, lets_go)
    _keep_twins(tags, kept)
    if policy.older_than is not None:
        _old(policy.older_than, tags, now, kept, lets_go)
    return {
        tag: Verdict(goes=False, reason=kept[tag]) if tag in kept else Verdict(goes=True, reason=", ".join(reasons))
        for tag, reasons in lets_go.items()
        if tag in kept or reasons
    }


def _newest(count: int, tags: Sequence[Tagged], kept: dict[str, str], lets_go: dict[str, list[str]]) -> None:
    """Keep the newest images, however many tags are on one; and those as new as the last of them."""
    made: dict[Digest, datetime] = {}
    for each in tags:
        if each.created is not None:
            made[each.digest] = max(each.created, made.get(each.digest, each.created))
    ranked = sorted(made.values(), reverse=True)
    bar = ranked[min(count, len(ranked)) - 1] if ranked and count else None
    for each in tags:
        if count == 0:
            lets_go[each.tag].append("none of them is to be kept")
        elif each.digest not in made:
            kept[each.tag] = "its age isn't known"
        elif bar is not None and made[each.digest] >= bar:
            kept[each.tag] = _one_of(count, "newest image")
        else:
            lets_go[each.tag].append(f"not {_one_of(count, 'newest image')}")


def _one_of(count: int, what: str) -> str:
    """Name what is kept so many of: `the newest image`, `one of the 3 newest images`."""
    return f"the {what}" if count == 1 else f"one of the {count} {what}s"


def _highest(count: int, tags: Sequence[Tagged], kept: dict[str, str], lets_go: dict[str, list[str]]) -> None:
    """Keep the highest final versions, and pre-releases of what comes after them; what is no version isn't judged.

    An alias (`1`, `1.2`) goes with the version that it stands on.
    """
    versions = {each.tag: v for each in tags if (v := version_of(each.tag)) is not None}
    finals = sorted({_plain(v) for v in versions.values() if not v.prerelease}, reverse=True)
    high = frozenset(finals[:count])
    leaving: dict[Digest, str] = {}
    for each in tags:
        version = versions.get(each.tag)
        if version is None:
            continue
        if not version.prerelease and _plain(version) in high:
            kept[each.tag] = _one_of(count, "highest version")
        elif version.prerelease and count and (not finals or version > finals[0]):
            kept[each.tag] = "a pre-release of a version to come"
        else:
            lets_go[each.tag].append(f"not {_one_of(count, 'highest version')}")
            leaving[each.digest] = each.tag
    for each in tags:
        if each.tag not in versions and _ALIAS.fullmatch(each.tag) and each.digest in leaving:
            lets_go[each.tag].append(
                f"it stands on {leaving[each.digest]}, which is not {_one_of(count, 'highest version')}"
            )


def _keep_twins(tags: Iterable[Tagged], kept: dict[str, str]) -> None:
    """Keep what stands on the same image as a tag that is kept for what it is."""
    held = {each.digest: each.tag for each in tags if each.tag in kept}
    for each in tags:
        if each.tag not in kept and each.digest in held:
            kept[each.tag] = f"it stands on the same image as {held[each.digest]}"


def _old(
    limit: timedelta, tags: Iterable[Tagged], now: datetime, kept: dict[str, str], lets_go: dict[str, list[str]]
) -> None:
    for each in tags:
        if each.created is None:
            kept.setdefault(each.tag, "its age isn't known")
        elif now - each.created <= limit:
            kept.setdefault(each.tag, f"{say_age(now - each.created)} old: not older than {say_age(limit)}")
        else:
            lets_go[each.tag].append(f"{say_age(now - each.created)} old")


def say_age(age: timedelta) -> str:
    """Write an age for people, in its largest whole unit."""
    seconds = max(int(age.total_seconds()), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _plain(version: Version) -> Version:
    """Leave out the build: it is no part of the order."""
    return version.replace(build=None)
