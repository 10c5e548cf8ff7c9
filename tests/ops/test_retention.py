"""Retention: which tags go, and the reason for each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.config.spec import CleanupConfig
from regkit.oci.digest import Digest
from regkit.ops.retention import Tagged, Verdict, decide, say_age
from tests.support.repositories import policies

NOW = datetime(2026, 11, 1, tzinfo=UTC)
A, B, C, D = (Digest.of(letter.encode()) for letter in "abcd")


def tagged(**tags: tuple[Digest, int | None]) -> list[Tagged]:
    """Make tags: a digest and an age in days; `_` stands for what a name can't hold."""
    return [
        Tagged(name.replace("__", "-").replace("_", "."), digest, None if age is None else NOW - timedelta(days=age))
        for name, (digest, age) in tags.items()
    ]


def gone(verdicts: Mapping[str, Verdict]) -> set[str]:
    return {tag for tag, verdict in verdicts.items() if verdict.goes}


def rules(name: str = "", **given: object) -> CleanupConfig:
    return CleanupConfig(name, **given)  # type: ignore[arg-type]


def test_the_newest_images_stay_however_many_tags_are_on_one() -> None:
    tags = tagged(new=(A, 1), also__new=(A, 1), middle=(B, 2), old=(C, 3))

    found = decide(tags, [rules(keep=2)], NOW)

    assert gone(found) == {"old"}
    assert found["middle"].reason == "one of the 2 newest images"
    assert found["old"].reason == "not one of the 2 newest images"


def test_images_of_the_same_age_stay_together() -> None:
    """Reproducible builds have one date for all: none of them is newer than another."""
    assert gone(decide(tagged(a=(A, 5), b=(B, 5), c=(C, 5), d=(D, 6)), [rules(keep=1)], NOW)) == {"d"}


def test_none_is_kept_with_zero() -> None:
    """Then nobody has to know how old anything is."""
    assert gone(decide(tagged(a=(A, None), b=(B, 1)), [rules(keep=0)], NOW)) == {"a", "b"}


def test_an_unknown_age_stays() -> None:
    """With either rule that asks for one."""
    tags = tagged(a=(A, None), b=(B, 100), c=(C, 101))

    for policy in (rules(keep=1), rules(older_than=timedelta(days=7))):
        found = decide(tags, [policy], NOW)
        assert not found["a"].goes
        assert found["a"].reason == "its age isn't known"
        assert found["c"].goes


def test_only_what_is_older_goes() -> None:
    """To the second; and both rules together let go only what both let go."""
    tags = tagged(a=(A, 29), b=(B, 30), c=(C, 31), d=(D, 400))

    assert gone(decide(tags, [rules(older_than=timedelta(days=30))], NOW)) == {"c", "d"}
    assert gone(decide(tags, [rules(keep=3, older_than=timedelta(days=30))], NOW)) == {"d"}
    assert gone(decide(tags, [rules(keep=0, older_than=timedelta(days=30))], NOW)) == {"c", "d"}


def test_the_highest_versions_stay() -> None:
    """By semantic order, whatever the dates; an alias goes with its version, other names aren't judged."""
    tags = tagged(
        **{"1_9_0": (A, 1), "1_10_0": (B, 100), "1_9": (A, 1), "1": (B, 100), "latest": (B, 100), "main": (C, 1)}
    )

    found = decide(tags, [rules(keep_semver=1)], NOW)

    assert gone(found) == {"1.9.0", "1.9"}
    assert found["main"].reason == "no rule is for it"
    assert found["1"].reason == "it stands on the same image as 1.10.0"


def test_pre_releases_stay_until_their_release() -> None:
    tags = tagged(**{"1_0_0": (A, 1), "1_0_0__rc_1": (B, 2), "1_1_0__rc_1": (C, 1)})

    found = decide(tags, [rules(keep_semver=3)], NOW)

    assert gone(found) == {"1.0.0-rc.1"}
    assert found["1.1.0-rc.1"].reason == "a pre-release of a version to come"


def test_builds_of_one_version_count_as_one() -> None:
    tags = [Tagged("1.0.0_a", A), Tagged("1.0.0_b", B), Tagged("0.9.0", C), Tagged("0.8.0", D)]

    assert gone(decide(tags, [rules(keep_semver=2)], NOW)) == {"0.8.0"}


def test_a_rule_is_for_what_it_matches_as_a_whole() -> None:
    """`pr` alone isn't `pr-1`; and what a tag of another name stands on doesn't keep one that matches."""
    tags = tagged(pr=(A, 1), pr__1=(B, 1), release=(B, 1))

    assert gone(decide(tags, [rules(match="pr", keep=0)], NOW)) == {"pr"}
    assert gone(decide(tags, [rules(match="pr-.*", keep=0)], NOW)) == {"pr-1"}


def test_one_policy_that_keeps_is_enough() -> None:
    """And each reason names its policy."""
    tags = tagged(pr__1=(A, 50), pr__2=(B, 40))
    some = [rules("nightly", match="pr-.*", older_than=timedelta(days=30)), rules("newest", match="pr-.*", keep=1)]

    for order in (some, some[::-1]):
        found = decide(tags, order, NOW)
        assert gone(found) == {"pr-1"}
        assert found["pr-2"].reason == "newest: the newest image"


def test_a_policy_without_a_rule_for_tags_removes_none() -> None:
    assert gone(decide(tagged(a=(A, 900)), [rules(untagged=True)], NOW)) == set()


@given(
    st.dictionaries(
        st.sampled_from(("1.0.0", "1.1.0", "1.0", "latest", "pr-1", "pr-2", "main")),
        st.tuples(st.sampled_from((A, B, C)), st.sampled_from((None, 1, 29, 31, 500))),
    ),
    policies(),
    st.integers(1, 50),
)
def test_more_to_keep_never_removes_more(
    tags: dict[str, tuple[Digest, int | None]], drawn: tuple[CleanupConfig, ...], more: int
) -> None:
    """Every number made larger, what went may stay, and what stayed stays; every tag has its reason."""
    given_tags = [Tagged(n, d, None if age is None else NOW - timedelta(days=age)) for n, (d, age) in tags.items()]
    wider = [
        policy._replace(
            keep=policy.keep and policy.keep + more,
            keep_semver=None if policy.keep_semver is None else policy.keep_semver + more,
            older_than=policy.older_than and policy.older_than + timedelta(days=more),
        )
        for policy in drawn
    ]
    found = decide(given_tags, drawn, NOW)

    assert found.keys() == tags.keys()
    assert all(verdict.reason for verdict in found.values())
    assert gone(decide(given_tags, wider, NOW)) <= gone(found)


@pytest.mark.parametrize(
    ("age", "said"),
    [(timedelta(days=40), "40d"), (timedelta(hours=30), "1d"), (timedelta(minutes=61), "1h"), (timedelta(0), "0s")],
)
def test_ages_are_said_in_their_largest_unit(age: timedelta, said: str) -> None:
    assert say_age(age) == said
