from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regkit.errors import NotFound
from regkit.oci.reference import Reference
from regkit.ops.explain import Explanation, explain_tags
from regkit.ops.tags import set_tags
from regkit.ops.versions import parse_release
from regkit.targets.repository import Repository
from tests.ops.support import Served, attested_layout, release, serving

VERSIONS = ("v1.2.3", "v1.3.0", "v2.0.0-rc.1", "main", "refs/pull/7/merge")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Give a repository with releases, whose alias `1.2` somebody moved by hand to the wrong one."""
    with serving() as served:
        for version in VERSIONS:
            layout = attested_layout(tmp_path_factory.mktemp("layout"), "linux/amd64", content=version)
            release(served, layout, version)
        set_tags(served.session, served.reference("team/hello:main"), ["1.2", "8f3c2b1-linux-amd64", "3"])
        yield served


def explained(served: Served, name: str = "team/hello", version: str | None = None) -> dict[str, Explanation]:
    found = explain_tags(served.session, served.reference(name), parse_release(version) if version else None)
    return {each.tag: each for each in found}


@pytest.mark.parametrize(
    ("tag", "verdict", "said"),
    [
        ("1", "stands", "1.3.0 is the highest version of 1"),
        ("1.3", "stands", "1.3.0 is the highest version of 1.3"),
        ("latest", "stands", "1.3.0 is the highest version of all"),
        ("1.2", "wrong", "what says no version, but 1.2.3 is the highest version of 1.2"),
        ("3", "stands", "no version of 3 has a tag of its own"),
        ("1.2.3", "stands", "the version itself"),
        ("2.0.0-rc.1", "stands", "a pre-release"),
        ("main", "stands", "a name of its own"),
        ("pr-7", "stands", "a pull request"),
        ("8f3c2b1-linux-amd64", "stands", "an image on its way"),
    ],
)
def test_each_tag_has_its_rule(served: Served, tag: str, verdict: str, said: str) -> None:
    """Of all tags of a repository, and of one that is named, the rule is told."""
    found = explained(served)[tag]

    assert (found.verdict, said in found.reason) == (verdict, True), found
    assert explained(served, f"team/hello:{tag}") == {tag: found}
    assert set(explained(served)) == set(served.tags())


def test_what_a_release_would_do(served: Served) -> None:
    """A version to come: which of its tags move, and what holds the others back; where they stand now."""
    found = explained(served, version="v1.2.4")

    assert {tag: each.verdict for tag, each in found.items()} == {
        "1": "kept",
        "1.2": "moves",
        "1.2.4": "moves",
        "latest": "kept",
    }
    assert found["latest"].reason == "1.3.0 is higher"
    assert found["1"].digest == served.tags()["1"]
    assert explained(served, "team/hello:latest", "v1.2.4") == {"latest": found["latest"]}
    assert explained(served, "team/hello:latest", "v3.0.0")["latest"].verdict == "moves"
    assert explained(served, "team/hello:latest", "v3.0.0-rc.1")["latest"].verdict == "untouched"
    assert explained(served, "new/one", "v1.0.0")["1"].verdict == "moves"


def test_an_alias_whose_version_lost_its_tag(tmp_path: Path) -> None:
    """What the alias's index says counts; and an alias on old content of its version is wrong."""
    with serving() as served:
        for version in ("v1.0.0", "v1.1.0"):
            release(served, attested_layout(tmp_path / version, "linux/amd64", content=version), version)
        old = served.tags()["1.1.0"]
        release(served, attested_layout(tmp_path / "new", "linux/amd64", content="new"), "v1.1.0", immutable=False)
        set_tags(served.session, Reference.parse(f"{served.host}/team/hello@{old}"), ["latest"])

        assert explained(served)["latest"].verdict == "wrong"
        assert "has other content now" in explained(served)["latest"].reason
        assert Repository(served.session, served.reference()).untag("1.1.0")
        assert explained(served)["latest"].verdict == "stands"
        assert "whose own tag is gone" in explained(served)["latest"].reason


def test_what_is_not_there(served: Served) -> None:
    """A tag or a repository that isn't there is an error."""
    for name in ("team/hello:9", "not/there"):
        with pytest.raises(NotFound):
            explained(served, name)


def test_it_asks_little(served: Served) -> None:
    """One alias: the tags, where it and the highest of its line stand, and no manifest."""
    served.access.clear()

    explained(served, "team/hello:latest")

    assert [each.method for each in served.access] == ["GET", "HEAD", "HEAD"]
