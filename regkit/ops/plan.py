"""What a publish will do, as plain data, made by a pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from semver import Version

from regkit.errors import Refused
from regkit.oci.annotation import REVISION, SOURCE_DIGEST, VERSION
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.images import Content
from regkit.ops.source import short_commit
from regkit.ops.versions import Release, TagDecision, decide_tags, version_of

if TYPE_CHECKING:
    from regkit.build.spec import BuildSpec


@dataclass(frozen=True, slots=True)
class PublishSpec:
    """What is asked for. Either `build` says how the images come to be, or they are there, as `content`.

    `tags` replace the derived ones; `source_digest`
    stands for all that a build is made from.
    """

    image: Reference
    release: Release | None
    platforms: tuple[Platform, ...]
    build: BuildSpec | None = None
    content: Content | None = None
    commit: str | None = None
    tags: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    source_digest: Digest | None = None
    tag_intermediates: bool = False
    keep_intermediates: bool = False
    rebuild: bool = False
    immutable: bool = True
    allow_downgrade: bool = False

    @property
    def wanted_tags(self) -> tuple[str, ...]:
        """The tags that this may write, in order."""
        return self.tags or (self.release.tags if self.release else ())

    @property
    def exact_tags(self) -> tuple[str, ...]:
        """Those of them that stand for one version."""
        return tuple(tag for tag in self.wanted_tags if version_of(tag) is not None)

    @property
    def index_annotations(self) -> dict[str, str]:
        """What the index says of itself: version, revision, what it was built from, and what the user adds."""
        said = {
            VERSION: str(self.release.version or self.release.exact) if self.release else None,
            REVISION: self.commit,
            SOURCE_DIGEST: self.source_digest,
        }
        return {**{key: value for key, value in said.items() if value}, **self.annotations}


@dataclass(frozen=True, slots=True)
class State:
    """What is in the repository: all tags, and the manifests of those that the publish may touch.

    `missing` are the children of this very version's index that aren't there, where it may be reused.
    """

    tags: tuple[str, ...] = ()
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    missing: frozenset[Digest] = frozenset()

    def published(self, spec: PublishSpec) -> Manifest | None:
        """Give what stands under the exact version."""
        return self.manifests.get(spec.exact_tags[0]) if spec.exact_tags else None


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done; `reuse` is the published index that needs no build, with the `reason` for or against it.

    `new` says that the repository has no tags yet, so that hardly anything can be there.
    """

    image: Reference
    platforms: tuple[Platform, ...]
    annotations: Mapping[str, str]
    tags: tuple[TagDecision, ...]
    intermediates: Mapping[Platform, str]
    keep_intermediates: bool
    standing: Mapping[str, Digest]
    exact: frozenset[str]
    reuse: Manifest | None
    reason: str
    new: bool

    def check_immutable(self, digest: Digest) -> None:
        """Raise Refused where an exact version stands on another digest; nothing has been written yet."""
        for tag in sorted(self.exact):
            there = self.standing.get(tag)
            if there is not None and there != digest:
                raise Refused(
                    f"{self.image.name}:{tag} is published already with other content: {there}, not {digest}",
                    hint=f"{self.reason}; publish a new version, or replace this one with --no-immutable",
                )

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""
        return {
            "schema": 1,
            "image": self.image.name,
            "platforms": [str(platform) for platform in self.platforms],
            "annotations": dict(self.annotations),
            "build": self.reuse is None,
            "reason": self.reason,
            "digest": self.reuse.digest if self.reuse else None,
            "tags": [
                {"tag": t.tag, "moves": t.moves, "reason": t.reason, "from": self.standing.get(t.tag)}
                for t in self.tags
            ],
            "intermediates": list(self.intermediates.values()),
        }


def plan_publish(spec: PublishSpec, state: State) -> Plan:
    """Decide what a publish does, given what is there. Pure; raise UsageError where intermediates need a commit."""
    release = None if spec.tags else spec.release
    if release is None:
        decisions = tuple(TagDecision(tag, moves=True, reason="asked for") for tag in spec.wanted_tags)
    else:
        decisions = decide_tags(
            release, state.tags, _standing_versions(spec, state), allow_downgrade=spec.allow_downgrade
        )
    reuse, reason = _reusable(spec, state)
    return Plan(
        image=spec.image,
        platforms=spec.platforms,
        annotations=spec.index_annotations,
        tags=decisions,
        intermediates=_intermediates(spec),
        keep_intermediates=spec.keep_intermediates,
        standing={tag: manifest.digest for tag, manifest in state.manifests.items()},
        exact=frozenset(spec.exact_tags if spec.immutable else ()),
        reuse=reuse,
        reason=reason,
        new=not state.tags,
    )


def intermediate_tag(commit: str | None, platform: Platform) -> str:
    """Name a platform's image on the way: `COMMIT-os-arch[-variant]`; raise UsageError without a commit."""
    return f"{short_commit(commit)}-{platform.slug}"


def _intermediates(spec: PublishSpec) -> dict[Platform, str]:
    if not spec.tag_intermediates:
        return {}
    return {platform: intermediate_tag(spec.commit, platform) for platform in spec.platforms}


def _standing_versions(spec: PublishSpec, state: State) -> dict[str, Version]:
    """Tell on which version each alias stands, as its index says."""
    aliases = spec.release.aliases if spec.release else ()
    said = {tag: state.manifests[tag].annotations.get(VERSION, "") for tag in aliases if tag in state.manifests}
    return {tag: Version.parse(text) for tag, text in said.items() if Version.is_valid(text)}


def _reusable(spec: PublishSpec, state: State) -> tuple[Manifest | None, str]:
    """Find the index of this very version and source, whole, among what is published; else say why not."""
    there = state.published(spec)
    if spec.build is None:
        return None, "the images are built already"
    if spec.rebuild:
        return None, "a rebuild was asked for"
    if there is None:
        return None, "this version isn't published yet" if spec.exact_tags else "only an exact version is reused"
    for key in sorted(spec.index_annotations.keys() | there.annotations.keys()):
        asked, found = spec.index_annotations.get(key), there.annotations.get(key)
        if asked != found:
            return None, f"what is published says {key}={found or 'nothing'}, this publish {asked or 'nothing'}"
    whole = [d for d in there.manifests if d.digest not in state.missing]
    held = {d.platform.normalized for d in whole if d.platform}
    lacking = [str(platform) for platform in spec.platforms if platform.normalized not in held]
    if lacking or len(whole) < len(there.manifests):
        return None, f"what is published lacks {', '.join(lacking) or 'some of its content'}"
    return there, f"{spec.exact_tags[0]} is published already, from this very source"
