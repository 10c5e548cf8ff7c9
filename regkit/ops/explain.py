"""Why a tag stands where it stands, and what a release would do with it: the rules, said of what is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from semver import Version

from regkit.errors import NotFound
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference
from regkit.ops.tasks import each
from regkit.ops.versions import Release, decide_tags, line_of, standing_versions, version_of, version_said
from regkit.targets.repository import Repository
from regkit.transport.session import Session

_ALIAS = re.compile(r"latest|[0-9]+(?:\.[0-9]+)?")
_INTERMEDIATE = re.compile(r"[0-9a-f]{7}-[a-z0-9]+-[a-z0-9]+(?:-[a-z0-9]+)?")
_PULL = re.compile(r"pr-[0-9]+")


@dataclass(frozen=True, slots=True)
class Explanation:
    """A tag, the rule that made it or holds it back, and what it stands on, where the rule depends on that.

    `verdict` is `stands` for what is as it should be, and `wrong` for what isn't; of a release to come it is `moves`,
    `kept` or `untouched`.
    """

    tag: str
    verdict: str
    reason: str
    digest: Digest | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return {"tag": self.tag, "verdict": self.verdict, "reason": self.reason, "digest": self.digest}


def explain_tags(session: Session, name: Reference, release: Release | None = None) -> tuple[Explanation, ...]:
    """Explain the tag that `name` has, or all tags of its repository; or what a `release` would do with its own.

    Only aliases, and the highest version of each one's line, are asked for. Raise NotFound where there is no such tag.
    """
    repository = Repository(session, name)
    tags = repository.tags()
    if release is not None:
        return tuple(_of_release(repository, tags, release, name.tag))
    if name.tag is not None and name.tag not in tags:
        raise NotFound(f"{name} isn't there", hint=f"regkit tag ls {name.name} lists what is")
    if not tags:
        raise NotFound(f"{name.name} has no tags", hint="it doesn't exist, or nothing was tagged in it")
    wanted = [name.tag] if name.tag is not None else list(tags)
    return tuple(each(lambda tag: _of_tag(repository, tags, tag), wanted))


def _of_release(
    repository: Repository, tags: Sequence[str], release: Release, asked: str | None
) -> Iterable[Explanation]:
    there = [tag for tag in release.tags if tag in tags]
    manifests = dict(zip(there, each(repository.manifest, there), strict=True))
    decided = decide_tags(release, tags, standing_versions(release, manifests))
    if asked is not None and asked not in release.tags:
        yield Explanation(asked, "untouched", f"{release.exact} has only the tags {', '.join(release.tags)}")
    for decision in decided:
        if asked in (None, decision.tag):
            manifest = manifests.get(decision.tag)
            verdict = "moves" if decision.moves else "kept"
            yield Explanation(decision.tag, verdict, decision.reason, manifest.digest if manifest else None)


def _of_tag(repository: Repository, tags: Sequence[str], tag: str) -> Explanation:
    version = version_of(tag)
    if version is not None and version.prerelease:
        return Explanation(tag, "stands", "a pre-release: only its own tag is for it, and it holds nothing back")
    if version is not None:
        return Explanation(tag, "stands", "the version itself")
    if _ALIAS.fullmatch(tag):
        return _of_alias(repository, tags, tag)
    if _PULL.fullmatch(tag):
        return Explanation(tag, "stands", "a pull request's name: each publish of that moves it")
    if _INTERMEDIATE.fullmatch(tag):
        return Explanation(tag, "stands", "a commit and a platform: it names an image on its way into a release")
    return Explanation(tag, "stands", "a name of its own, as a branch has one: each publish under it moves it")


def _of_alias(repository: Repository, tags: Sequence[str], tag: str) -> Explanation:
    line = line_of(tag, tags)
    highest = max(line.values(), default=None)
    names = [name for name, version in line.items() if version == highest]
    stands, *there = (found.digest if found else None for found in each(repository.resolve, [tag, *names]))
    if stands is None:
        raise NotFound(f"{repository.name}:{tag} is gone meanwhile", hint="run it again")
    what = "of all" if tag == "latest" else f"of {tag}"
    if highest is not None and stands in there:
        return Explanation(tag, "stands", f"{highest} is the highest version {what}", stands)
    said = version_said(repository.manifest(stands))
    return Explanation(tag, *_judge(said, highest, what), stands)


def _judge(said: Version | None, highest: Version | None, what: str) -> tuple[str, str]:
    """Say why an alias stands where no highest version's tag does."""
    on = f"it stands on {said}" if said else "it stands on what says no version"
    if highest is None:
        return "stands", f"{on}, and no version {what} has a tag of its own"
    if said is not None and said > highest:
        return "stands", f"{on}, whose own tag is gone; of the others {highest} is the highest {what}"
    if said is not None and said == highest:
        return "wrong", f"{on}, but the tag of that version has other content now"
    return "wrong", f"{on}, but {highest} is the highest version {what}; the next publish of that line puts it right"
