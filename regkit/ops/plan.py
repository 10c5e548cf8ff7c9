"""What a publish will do, as plain data, made by a pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from regkit.errors import Refused
from regkit.oci.annotation import SOURCE_DIGEST
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.checks import Checks
from regkit.ops.described import DESCRIBED
from regkit.ops.spec import PublishSpec
from regkit.ops.versions import TagDecision, decide_tags, standing_versions

if TYPE_CHECKING:
    from regkit.ops.readme_page import PageState


@dataclass(frozen=True, slots=True)
class State:
    """What is in a repository: all tags, and the manifests of those that the publish may touch.

    `missing` are the children of this very version's index that aren't there, where it may be reused.
    """

    tags: tuple[str, ...] = ()
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    missing: frozenset[Digest] = frozenset()

    def published(self, spec: PublishSpec) -> Manifest | None:
        """Give what stands under the exact version."""
        return self.manifests.get(spec.exact_tags[0]) if spec.exact_tags else None


@dataclass(frozen=True, slots=True)
class Destination:
    """What becomes of one repository: its tags in order, and where they and the intermediate ones stand now.

    `new` says that it has no tags yet, so that hardly anything can be there; `reason` why what stands there is reused,
    or isn't.
    """

    image: Reference
    tags: tuple[TagDecision, ...]
    standing: Mapping[str, Digest]
    new: bool
    reason: str
    pushes: tuple[Descriptor, ...] = ()
    """The manifests that are known to be sent; of a build they aren't known yet."""

    @property
    def moving(self) -> tuple[str, ...]:
        """The tags that are to stand on the release."""
        return tuple(decision.tag for decision in self.tags if decision.moves)

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return {
            "image": self.image.name,
            "tags": [
                {"tag": t.tag, "moves": t.moves, "reason": t.reason, "from": self.standing.get(t.tag)}
                for t in self.tags
            ],
            "push": [descriptor.to_json() for descriptor in self.pushes],
            "standing": dict(self.standing),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done; `reuse` is the published index that needs no build, found in `reused_from`.

    `reason` is that for or against a build; `index` is the digest that the tags will stand on, where it's known.
    `published` are the indexes that stand under the exact version.
    """

    destinations: tuple[Destination, ...]
    platforms: tuple[Platform, ...]
    annotations: Mapping[str, str]
    intermediates: Mapping[Platform, str]
    keep_intermediates: bool
    exact: frozenset[str]
    reuse: Manifest | None
    reused_from: Reference | None
    reason: str
    index: Digest | None = None
    build: bool = True
    published: tuple[Manifest, ...] = ()
    checks: Checks = field(default_factory=Checks)
    pages: tuple[PageState, ...] = ()
    """What becomes of the repositories' pages, where that was asked."""

    @property
    def image(self) -> Reference:
        """The first repository."""
        return self.destinations[0].image

    @property
    def tags(self) -> tuple[TagDecision, ...]:
        """What becomes of the first repository's tags."""
        return self.destinations[0].tags

    @property
    def standing(self) -> Mapping[str, Digest]:
        """Where the first repository's tags stand now."""
        return self.destinations[0].standing

    @property
    def pending(self) -> bool:
        """Whether anything would be changed."""
        return (
            self.build
            or any(page.changed for page in self.pages)
            or any(
                there.pushes
                or any(there.standing.get(tag) != self.index for tag in there.moving)
                or (not self.keep_intermediates and there.standing.keys() & set(self.intermediates.values()))
                for there in self.destinations
            )
        )

    def check_immutable(self, digest: Digest) -> None:
        """Raise Refused where an exact version stands on another digest, anywhere; nothing has been written yet."""
        for destination in self.destinations:
            for tag in sorted(self.exact):
                there = destination.standing.get(tag)
                if there is not None and there != digest:
                    raise Refused(
                        f"{destination.image.name}:{tag} is published already with other content: "
                        f"{there}, not {digest}",
                        hint=f"{destination.reason}; publish a new version, or replace this one with --no-immutable",
                    )

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document; what it says beside `destinations` of tags is of the first repository."""
        first, *_ = destinations = [destination.to_json() for destination in self.destinations]
        return {
            "schema": 1,
            **first,
            "destinations": destinations,
            "platforms": [str(platform) for platform in self.platforms],
            "annotations": dict(self.annotations),
            "build": self.build,
            "reason": self.reason,
            "digest": self.index,
            "test": self.checks.to_json(self.platforms, runs=self.reuse is None),
            "intermediates": list(self.intermediates.values()),
            "keepIntermediates": self.keep_intermediates,
            "readme": [page.to_json() for page in self.pages],
        }


def plan_publish(spec: PublishSpec, *states: State) -> Plan:
    """Decide what a publish does, given what is in each of its repositories.

    Pure; raise UsageError where intermediates need a commit.
    """
    found = [_reusable(spec, state) for state in states]
    whole = next((number for number, (index, _) in enumerate(found) if index is not None), None)
    # What is said of no build, or the first repository's reason for one.
    reuse, reason = found[whole or 0]
    published = tuple(there for state in states if (there := state.published(spec)) is not None)
    index = reuse or (spec.release_of(spec.content, published) if spec.content else None)
    return Plan(
        destinations=tuple(
            Destination(
                image,
                _decide(spec, state),
                {tag: manifest.digest for tag, manifest in state.manifests.items()},
                not state.tags,
                why,
            )
            for image, state, (_, why) in zip(spec.images, states, found, strict=True)
        ),
        platforms=spec.platforms,
        annotations=index.annotations if index else spec.index_annotations,
        intermediates=spec.intermediates,
        keep_intermediates=spec.keep_intermediates,
        exact=frozenset(spec.exact_tags if spec.immutable else ()),
        reuse=reuse,
        reused_from=None if whole is None else spec.images[whole],
        reason=reason,
        index=index.digest if index else None,
        build=reuse is None and spec.build is not None,
        published=published,
        checks=spec.checks,
    )


def _decide(spec: PublishSpec, state: State) -> tuple[TagDecision, ...]:
    release = None if spec.tags else spec.release
    if release is None:
        return tuple(TagDecision(tag, moves=True, reason="asked for") for tag in spec.wanted_tags)
    standing = standing_versions(release, state.manifests)
    decided = decide_tags(release, state.tags, standing, allow_downgrade=spec.allow_downgrade)
    return tuple(decision for decision in decided if decision.tag in spec.wanted_tags)


def _reusable(spec: PublishSpec, state: State) -> tuple[Manifest | None, str]:
    """Find the index of this very version and source, whole, among what is published; else say why not."""
    there = state.published(spec)
    if spec.build is None:
        return None, "the images are built already"
    if spec.rebuild:
        return None, "a rebuild was asked for"
    if there is None:
        return None, "this version isn't published yet" if spec.exact_tags else "only an exact version is reused"
    described = DESCRIBED - spec.annotations.keys()  # another description makes no other release
    for key in sorted((spec.index_annotations.keys() | there.annotations.keys()) - described):
        asked, found = spec.index_annotations.get(key), there.annotations.get(key)
        if key == SOURCE_DIGEST and asked and found and asked != found:
            return None, "what is published is made from other sources"
        if asked != found:
            return None, f"what is published says {key}={found or 'nothing'}, this publish {asked or 'nothing'}"
    if any(spec.annotated(child) != child for child in there.manifests):
        return None, "what is published says other things of its images"
    whole = [d for d in there.manifests if d.digest not in state.missing]
    held = {d.platform.normalized for d in whole if d.platform}
    lacking = [str(platform) for platform in spec.platforms if platform.normalized not in held]
    if lacking or len(whole) < len(there.manifests):
        return None, f"what is published lacks {', '.join(lacking) or 'some of its content'}"
    return there, f"{spec.exact_tags[0]} is published already, from this very source"
