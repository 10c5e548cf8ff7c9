"""Versions and the tags that are made of them: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from semver import Version

from regkit.errors import UsageError
from regkit.oci.annotation import VERSION
from regkit.oci.manifest import Manifest
from regkit.oci.reference import check_tag

_VERSION_LIKE = re.compile(r"v?[0-9]")


@dataclass(frozen=True, slots=True)
class Release:
    """What is published: a `version`, or any other ref, which has none; `exact` is its own tag.

    A 0.y.z has no `0`, where every release may break, unless `zero_major` says so.
    """

    exact: str
    version: Version | None = None
    zero_major: bool = False

    @property
    def aliases(self) -> tuple[str, ...]:
        """The moving tags of a final version, most general first: `1`, `1.2`, and `latest`."""
        if self.version is None or self.version.prerelease:
            return ()
        major, minor = self.version.major, self.version.minor
        return (*([f"{major}"] if major or self.zero_major else []), f"{major}.{minor}", "latest")

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags in the order in which they are written: `1`, `1.2`, `1.2.3`, `latest`."""
        *lines, last = self.aliases or (None,)
        return tuple(tag for tag in (*lines, self.exact, last) if tag is not None)


def parse_release(ref: str, *, zero_major: bool = False) -> Release:
    """Read `v1.2.3`, `1.2.3`, `refs/tags/…`, `refs/heads/…`, `refs/pull/N/…` or a branch; raise UsageError.

    A tag, or a name that begins like a version, must be a semantic version (semver.org, 2.0.0).
    """
    if ref.startswith("refs/tags/"):
        return _parse_version(ref.removeprefix("refs/tags/"), zero_major=zero_major)
    pull = re.fullmatch(r"refs/pull/([0-9]+)/.*", ref)
    if pull:
        return Release(f"pr-{pull.group(1)}")
    if ref.startswith("refs/heads/"):
        return Release(_clean(ref.removeprefix("refs/heads/")))
    if _VERSION_LIKE.match(ref):
        return _parse_version(ref, zero_major=zero_major)
    return Release(_clean(ref))


def version_of(tag: str) -> Version | None:
    """Read an existing tag as the exact version that it stands for; None for an alias or any other tag."""
    text = tag.removeprefix("v").replace("_", "+", 1)
    return Version.parse(text) if Version.is_valid(text) else None


@dataclass(frozen=True, slots=True)
class TagDecision:
    """One tag of a publish: whether it moves, and why (not)."""

    tag: str
    moves: bool
    reason: str


def decide_tags(
    release: Release, taken: Iterable[str], standing: Mapping[str, Version], *, allow_downgrade: bool = False
) -> tuple[TagDecision, ...]:
    """Decide, in order, which tags a release moves: an alias only where no higher final version of its line exists.

    `taken` are the tags that exist; `standing` says on which final version an alias stands, as its index tells, since
    the tag of that version may be gone.
    """
    version = release.version
    if version is None:
        return (TagDecision(release.exact, moves=True, reason="the name of the ref"),)
    names = tuple(taken)
    decisions = []
    for tag in release.tags:
        if tag == release.exact:
            decisions.append(TagDecision(tag, moves=True, reason="the version itself"))
            continue
        line = [*line_of(tag, names).values(), *(v for v in standing.values() if _in_line(tag, v))]
        highest = max(line, default=version)
        moves = highest <= version or allow_downgrade
        if highest > version:
            reason = f"{highest} is higher, but this is asked for" if moves else f"{highest} is higher"
        else:
            reason = f"the highest version of {'all' if tag == 'latest' else tag}"
        decisions.append(TagDecision(tag, moves=moves, reason=reason))
    return tuple(decisions)


def line_of(alias: str, taken: Iterable[str]) -> dict[str, Version]:
    """Give the tags that are final versions of an alias's line, each with its version; all lines for `latest`."""
    versions = {tag: version_of(tag) for tag in taken}
    return {tag: v for tag, v in versions.items() if v is not None and not v.prerelease and _in_line(alias, v)}


def version_said(manifest: Manifest) -> Version | None:
    """Give the final version that an index says it is; None where it says none."""
    text = manifest.annotations.get(VERSION, "")
    version = Version.parse(text) if Version.is_valid(text) else None
    return None if version is None or version.prerelease else version


def standing_versions(release: Release, manifests: Mapping[str, Manifest]) -> dict[str, Version]:
    """Tell on which final version each of a release's aliases stands, as the index under it says."""
    said = {tag: version_said(manifests[tag]) for tag in release.aliases if tag in manifests}
    return {tag: version for tag, version in said.items() if version is not None}


def _in_line(alias: str, version: Version) -> bool:
    return alias == "latest" or f"{version}.".startswith(f"{alias}.")


def _parse_version(text: str, *, zero_major: bool) -> Release:
    bare = text.removeprefix("v")
    if not Version.is_valid(bare):
        raise UsageError(
            f"not a semantic version: {text!r}",
            hint="write MAJOR.MINOR.PATCH as v1.2.3, or refs/heads/NAME for a branch with such a name",
        )
    return Release(check_tag(bare.replace("+", "_")), Version.parse(bare), zero_major)


def _clean(name: str) -> str:
    """Make a tag of a branch's name: what a tag can't hold becomes a dash."""
    tag = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:128]
    if not tag:
        raise UsageError(f"no tag can be made of the ref {name!r}", hint="give one with --tag")
    return tag
