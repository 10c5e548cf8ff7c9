from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from regkit.errors import UsageError
from regkit.oci.reference import check_tag
from regkit.ops.versions import Release, decide_tags, parse_release, version_of

SMALL = st.integers(0, 3)
FINAL = st.builds(Version, SMALL, SMALL, SMALL)
VERSIONS = st.builds(Version, SMALL, SMALL, SMALL, st.sampled_from([None, "rc.1", "rc.2", "alpha"]))


@pytest.mark.parametrize(
    ("ref", "tags"),
    [
        ("v1.2.3", ["1", "1.2", "1.2.3", "latest"]),
        ("1.2.3", ["1", "1.2", "1.2.3", "latest"]),
        ("refs/tags/v1.2.3", ["1", "1.2", "1.2.3", "latest"]),
        ("refs/tags/1.2.3", ["1", "1.2", "1.2.3", "latest"]),
        ("v10.20.30", ["10", "10.20", "10.20.30", "latest"]),
        ("0.4.1", ["0.4", "0.4.1", "latest"]),
        ("0.0.0", ["0.0", "0.0.0", "latest"]),
        ("1.2.3-rc.1", ["1.2.3-rc.1"]),
        ("v1.2.3-0", ["1.2.3-0"]),
        ("1.2.3+build.5", ["1", "1.2", "1.2.3_build.5", "latest"]),
        ("1.2.3-rc.1+b", ["1.2.3-rc.1_b"]),
        ("refs/heads/main", ["main"]),
        ("main", ["main"]),
        ("refs/heads/1.x", ["1.x"]),
        ("refs/heads/v1.2.3", ["v1.2.3"]),
        ("feature/a b", ["feature-a-b"]),
        ("refs/heads/feature/#42--\u00e4", ["feature-42"]),
        ("refs/heads/.hidden", ["hidden"]),
        ("refs/heads/_x", ["_x"]),
        ("refs/heads/" + "b" * 200, ["b" * 128]),
        ("refs/pull/5/merge", ["pr-5"]),
        ("refs/pull/17/head", ["pr-17"]),
        ("version-2", ["version-2"]),
    ],
)
def test_tags_of_a_ref(ref: str, tags: list[str]) -> None:
    """The tags of a release, in the order in which they are written: general, exact, latest."""
    assert list(parse_release(ref).tags) == tags


@pytest.mark.parametrize(
    ("ref", "tags"),
    [
        ("0.4.1", ["0", "0.4", "0.4.1", "latest"]),
        ("refs/tags/v0.4.1", ["0", "0.4", "0.4.1", "latest"]),
        ("0.4.1-rc.1", ["0.4.1-rc.1"]),
        ("1.2.3", ["1", "1.2", "1.2.3", "latest"]),
    ],
)
def test_tags_with_zero_major(ref: str, tags: list[str]) -> None:
    """Who asks for it gets `0`, which moves like any other alias."""
    release = parse_release(ref, zero_major=True)

    assert list(release.tags) == tags
    decided = {each.tag: each.moves for each in decide_tags(release, ["0.5.0"], {})}
    assert not decided.get("0"), "0.5.0 is higher"


@pytest.mark.parametrize(
    "ref",
    [
        "1.2",
        "v1",
        "1.2.3.4",
        "01.2.3",
        "v1.2.3-",
        "1.2.3-01",
        "1.x",
        "refs/tags/main",
        "refs/tags/",
        "refs/tags/vv1.2.3",
        "1.2.3 ",
        "v1.2.\u0663",
    ],
)
def test_a_version_that_is_none(ref: str) -> None:
    """A tag, or what begins like a version, must be a semantic version; the hint says how to write it."""
    with pytest.raises(UsageError, match="not a semantic version") as caught:
        parse_release(ref)

    assert caught.value.hint is not None


@pytest.mark.parametrize("ref", ["refs/heads/", "refs/heads/-", "/", "\u00e4\u00f6", "...", ""])
def test_a_branch_that_gives_no_tag(ref: str) -> None:
    """A name of which nothing is left is refused."""
    with pytest.raises(UsageError, match="no tag can be made"):
        parse_release(ref)


def test_a_version_too_long_for_a_tag() -> None:
    """A tag has 128 characters at most."""
    with pytest.raises(UsageError, match="not a tag"):
        parse_release("1.2.3-" + "a" * 123)


@given(st.text())
def test_any_ref_gives_valid_tags_or_bad_usage(ref: str) -> None:
    """Whatever a CI system calls its ref: valid tags come out, or a UsageError."""
    for prefix in ("", "refs/heads/", "refs/tags/", "v1.2.3-"):
        try:
            release = parse_release(prefix + ref)
        except UsageError:
            continue
        assert release.tags
        assert [check_tag(tag) for tag in release.tags] == list(release.tags)


@given(FINAL)
def test_the_order_is_general_exact_latest(version: Version) -> None:
    """Always from the general to the exact, and `latest` last; `0` is never a tag."""
    tags = parse_release(f"v{version}").tags

    assert tags[-1] == "latest"
    assert tags[-2] == str(version)
    assert [len(tag.split(".")) for tag in tags[:-1]] == ([1, 2, 3] if version.major else [2, 3])
    assert all(f"{version}.".startswith(f"{tag}.") for tag in tags[:-1])


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("1.2.3", "1.2.3"),
        ("v1.2.3", "1.2.3"),
        ("1.2.3-rc.1", "1.2.3-rc.1"),
        ("1.2.3_b.5", "1.2.3+b.5"),
        ("1.2", None),
        ("1", None),
        ("latest", None),
        ("1.2.3-linux-arm64-", "1.2.3-linux-arm64-"),
        ("abc1234-linux-arm64", None),
        ("1.2.3_", None),
        ("1.2.3_a_b", None),
    ],
)
def test_tags_that_are_versions(tag: str, version: str | None) -> None:
    """An existing tag is the exact version that it spells, or no version."""
    assert version_of(tag) == (Version.parse(version) if version else None)


@given(VERSIONS, st.sampled_from([None, "b.1"]))
def test_a_releases_own_tag_is_read_back(version: Version, build: str | None) -> None:
    """The exact tag of any release is recognised as that release."""
    release = parse_release(str(version.replace(build=build)))

    assert release.version is not None
    assert str(version_of(release.exact)) == str(release.version)


# Which tags move


def moved(ref: str, taken: list[str], **standing: str) -> dict[str, bool]:
    stands = {tag.replace("_", "."): Version.parse(text) for tag, text in standing.items()}
    return {each.tag: each.moves for each in decide_tags(parse_release(ref), taken, stands)}


def test_the_first_release_moves_all() -> None:
    """Into an empty repository goes every tag."""
    assert moved("1.2.3", []) == {"1": True, "1.2": True, "1.2.3": True, "latest": True}


def test_a_patch_of_an_old_line() -> None:
    """1.2.4 after 1.3.0 and 2.0.0 moves its own line only, and the reason names what is higher."""
    decisions = decide_tags(parse_release("1.2.4"), ["1.2.3", "1.3.0", "2.0.0", "latest"], {})

    assert [(each.tag, each.moves, each.reason) for each in decisions] == [
        ("1", False, "1.3.0 is higher"),
        ("1.2", True, "the highest version of 1.2"),
        ("1.2.4", True, "the version itself"),
        ("latest", False, "2.0.0 is higher"),
    ]
    assert decide_tags(parse_release("1.2.4"), [], {})[-1].reason == "the highest version of all"


def test_lines_are_not_confused() -> None:
    """10.x isn't the line of 1, and 1.20 not that of 1.2."""
    assert moved("1.2.3", ["10.0.0", "1.20.0"]) == {"1": False, "1.2": True, "1.2.3": True, "latest": False}
    assert moved("1.2.3", ["0.9.0", "11.0.0-rc.1"])["latest"]


def test_pre_releases_hold_nothing_back() -> None:
    """2.0.0-rc.1 isn't higher than 1.2.3 for anybody who pulls `latest`; and it moves nothing itself."""
    assert all(moved("1.2.3", ["2.0.0-rc.1", "1.3.0-beta"]).values())
    assert moved("2.0.0-rc.1", ["1.0.0"]) == {"2.0.0-rc.1": True}


def test_an_alias_whose_version_has_no_tag() -> None:
    """What an alias's index says counts, also where the exact tag is gone."""
    assert moved("1.2.3", ["1", "latest"], latest="2.0.0") == {"1": True, "1.2": True, "1.2.3": True, "latest": False}


def test_the_same_version_again() -> None:
    """A rerun moves all its tags, and so does another build of the version: builds have no order."""
    assert all(moved("1.2.3", ["1.2.3", "latest"], latest="1.2.3").values())
    assert all(moved("1.2.3+b2", ["1.2.3_b1"]).values())


def test_downgrades_may_be_asked_for() -> None:
    """Who says so moves aliases back; the reason doesn't call the version the highest then."""
    decisions = decide_tags(parse_release("1.2.3"), ["2.0.0"], {}, allow_downgrade=True)

    assert all(each.moves for each in decisions)
    assert [each.reason for each in decisions if each.tag == "latest"] == ["2.0.0 is higher, but this is asked for"]


def test_a_branch_moves_its_own_tag() -> None:
    """A branch has one tag, which always moves."""
    assert moved("main", ["9.9.9", "main"]) == {"main": True}


@given(st.lists(VERSIONS, min_size=1, max_size=12))
def test_aliases_never_move_backwards(releases: list[Version]) -> None:
    """However releases are ordered: no alias ever stands on less than before, and each ends on its line's highest."""
    tags: dict[str, Version] = {}
    for version in releases:
        standing = {tag: there for tag, there in tags.items() if version_of(tag) is None}
        for decision in decide_tags(Release(str(version), version), tags, standing):
            if decision.moves:
                assert version_of(decision.tag) is not None or tags.get(decision.tag, version) <= version
                tags[decision.tag] = version

    final = [version for version in releases if not version.prerelease]
    for tag, there in tags.items():
        if version_of(tag) is None:
            assert there == max(v for v in final if tag == "latest" or f"{v}.".startswith(f"{tag}."))
    assert ("latest" in tags) == bool(final)
    assert not any(re.fullmatch("0", tag) for tag in tags)


@given(st.sets(VERSIONS, max_size=8), FINAL)
def test_a_second_look_decides_the_same(existing: set[Version], version: Version) -> None:
    """Deciding is pure: the order in which tags are listed doesn't count, and no exact tag is ever held back."""
    taken = sorted(map(str, existing))
    decided = decide_tags(Release(str(version), version), taken, {})

    assert decided == decide_tags(Release(str(version), version), reversed(taken), {})
    assert [each.moves for each in decided if each.tag == str(version)] == [True]
