from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.build.spec import BuildSpec
from regkit.errors import Refused, UsageError
from regkit.oci import mediatype
from regkit.oci.annotation import REVISION, SOURCE_DIGEST, VERSION
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index
from regkit.oci.platform import parse_platforms
from regkit.oci.reference import Reference
from regkit.ops.plan import State, plan_publish
from regkit.ops.spec import PublishSpec
from regkit.ops.versions import parse_release

COMMIT = "8f3c2b1a9d7e6f5c4b3a29181716151413121110"
SOURCE = Digest.of(b"source")
PLATFORMS = parse_platforms(["linux/amd64,linux/arm64/v8"])
BUILT = PublishSpec(
    images=(Reference("reg.test", "team/hello"),),
    release=parse_release("v1.2.3"),
    platforms=PLATFORMS,
    build=BuildSpec(Path(), Path("Dockerfile"), PLATFORMS),
    commit=COMMIT,
    source_digest=SOURCE,
)
ANNOTATIONS = {VERSION: "1.2.3", REVISION: COMMIT, SOURCE_DIGEST: str(SOURCE)}


def index(platforms: str = "linux/amd64,linux/arm64/v8", **annotations: str) -> Manifest:
    children = [
        replace(Descriptor.of(mediatype.OCI_MANIFEST, str(platform).encode()), platform=platform)
        for platform in parse_platforms([platforms])
    ]
    return assemble_index(children, {**ANNOTATIONS, **annotations})


def standing(manifest: Manifest, *tags: str, missing: frozenset[Digest] = frozenset()) -> State:
    return State(tags, dict.fromkeys(tags, manifest), missing)


def test_the_first_publish() -> None:
    """Into an empty repository: all tags in order, the index annotated, a build."""
    plan = plan_publish(BUILT, State())

    assert [(each.tag, each.moves) for each in plan.tags] == [
        ("1", True),
        ("1.2", True),
        ("1.2.3", True),
        ("latest", True),
    ]
    assert plan.annotations == ANNOTATIONS
    assert (plan.reuse, plan.reason) == (None, "this version isn't published yet")
    assert plan.intermediates == {}


def test_the_same_source_is_reused() -> None:
    """What is published already, from this very source and whole, isn't built again."""
    there = index()
    plan = plan_publish(BUILT, standing(there, "1.2.3", "latest"))

    assert plan.reuse == there
    assert plan.reason == "1.2.3 is published already, from this very source"


@pytest.mark.parametrize(
    ("there", "said"),
    [
        pytest.param(index(**{REVISION: "f" * 40}), f"says {REVISION}=ffff", id="another commit"),
        pytest.param(index(**{SOURCE_DIGEST: "x"}), "is made from other sources", id="another source"),
        pytest.param(index(more="x"), "says more=x, this publish nothing", id="an annotation more"),
        pytest.param(assemble_index((), {}), "nothing, this publish", id="no annotations"),
        pytest.param(index("linux/amd64"), "lacks linux/arm64/v8", id="a platform less"),
    ],
)
def test_another_source_is_built(there: Manifest, said: str) -> None:
    """What differs is said: why a build is needed although the version is there."""
    plan = plan_publish(BUILT, standing(there, "1.2.3"))

    assert plan.reuse is None
    assert said in plan.reason


def test_content_that_is_missing_is_built_again() -> None:
    """An index of which a child is gone isn't reused."""
    there = index()
    plan = plan_publish(BUILT, standing(there, "1.2.3", missing=frozenset({there.manifests[1].digest})))

    assert (plan.reuse, plan.reason) == (None, "what is published lacks linux/arm64/v8")


def test_a_rebuild_that_is_asked_for() -> None:
    """--rebuild overrides."""
    plan = plan_publish(replace(BUILT, rebuild=True), standing(index(), "1.2.3"))

    assert (plan.reuse, plan.reason) == (None, "a rebuild was asked for")


def test_a_branch_is_never_reused() -> None:
    """Only an exact version stands for its source."""
    plan = plan_publish(replace(BUILT, release=parse_release("main")), standing(index(), "main"))

    assert (plan.reuse, plan.reason) == (None, "only an exact version is reused")
    assert [each.tag for each in plan.tags] == ["main"]


def test_a_layout_needs_no_build() -> None:
    """What is built already isn't looked for in the registry."""
    plan = plan_publish(replace(BUILT, build=None), standing(index(), "1.2.3"))

    assert (plan.reuse, plan.reason) == (None, "the images are built already")


def test_given_tags_replace_the_derived_ones() -> None:
    """--tag: exactly these, in this order, whatever stands there."""
    plan = plan_publish(replace(BUILT, tags=("b", "a", "1.0.0")), standing(index(), "9.9.9"))

    assert [(each.tag, each.moves, each.reason) for each in plan.tags] == [
        (tag, True, "asked for") for tag in ("b", "a", "1.0.0")
    ]
    assert plan.exact == {"1.0.0"}
    assert plan.annotations[VERSION] == "1.2.3"


def test_a_users_annotation_wins() -> None:
    """What the user says of the index is what it says; what isn't known isn't said."""
    spec = replace(BUILT, annotations={VERSION: "mine", "k": "v"}, commit=None, source_digest=None)

    assert plan_publish(spec, State()).annotations == {VERSION: "mine", "k": "v"}


def test_a_higher_release_holds_the_aliases() -> None:
    """What an alias's index says of itself counts, and is the reason that is given."""
    higher = index(**{VERSION: "2.0.0"})
    plan = plan_publish(BUILT, standing(higher, "latest"))

    assert {each.tag: each.reason for each in plan.tags if not each.moves} == {"latest": "2.0.0 is higher"}
    assert all(
        each.moves for each in plan_publish(replace(BUILT, allow_downgrade=True), standing(higher, "latest")).tags
    )


def test_intermediate_tags() -> None:
    """`COMMIT-os-arch[-variant]`, or none at all; without a commit they are refused."""
    spec = replace(BUILT, tag_intermediates=True)

    assert list(plan_publish(spec, State()).intermediates.values()) == ["8f3c2b1-linux-amd64", "8f3c2b1-linux-arm64-v8"]
    with pytest.raises(UsageError, match="need a commit"):
        plan_publish(replace(spec, commit=None), State())


def test_an_exact_version_with_other_content() -> None:
    """An immutable version that stands on another digest is refused, with both digests and a way on."""
    there = index()
    plan = plan_publish(BUILT, standing(there, "1.2.3"))

    plan.check_immutable(there.digest)
    with pytest.raises(
        Refused, match=r"reg\.test/team/hello:1\.2\.3 is published already with other content"
    ) as caught:
        plan.check_immutable(SOURCE)
    assert there.digest in str(caught.value)
    assert SOURCE in str(caught.value)
    assert caught.value.hint is not None
    assert "--no-immutable" in caught.value.hint


def test_what_may_be_replaced() -> None:
    """Aliases and branches move; so does an exact version where that is asked for."""
    plan_publish(BUILT, standing(index(), "1", "1.2", "latest")).check_immutable(SOURCE)
    plan_publish(replace(BUILT, immutable=False), standing(index(), "1.2.3")).check_immutable(SOURCE)


def test_a_plan_as_json() -> None:
    """A script reads what will be done, and from where each tag moves."""
    there = index()
    document = json.loads(json.dumps(plan_publish(BUILT, standing(there, "1.2.3", "latest")).to_json()))

    assert (document["schema"], document["image"], document["build"]) == (1, "reg.test/team/hello", False)
    assert document["digest"] == there.digest
    assert document["platforms"] == ["linux/amd64", "linux/arm64/v8"]
    assert [(tag["tag"], tag["moves"], tag["from"]) for tag in document["tags"]] == [
        ("1", True, None),
        ("1.2", True, None),
        ("1.2.3", True, there.digest),
        ("latest", True, there.digest),
    ]


def test_planning_changes_nothing() -> None:
    """Asked twice, a plan is the same."""
    state = standing(index(), "1.2.3")

    assert plan_publish(BUILT, state) == plan_publish(BUILT, state)
