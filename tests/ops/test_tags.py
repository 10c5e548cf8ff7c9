from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regkit.errors import NotFound, Refused, UsageError
from regkit.events import Note, TagKept, TagMoved, TagRemoved
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference
from regkit.ops.tags import list_tags, plan_removal, remove_tags, set_tags
from tests.ops.support import ORDER, Cascading, Served, Undeletable, attested_layout, release, serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving() as served:
        release(served, attested_layout(tmp_path, "linux/amd64"))
        served.access.clear()
        served.events.clear()
        yield served


def test_the_order_of_a_list(served: Served) -> None:
    """As the registry gives it, by name, or versions first and the highest on top."""
    set_tags(served.session, served.reference("team/hello:1.2.3"), ["1.10.0", "1.9.0", "2.0.0-rc.1", "v0.1.0", "main"])
    listed = {sort: list_tags(served.session, served.reference(), sort=sort) for sort in ("", "name", "semver")}

    assert listed["name"] == sorted(listed[""])
    assert listed["semver"] == ["2.0.0-rc.1", "1.10.0", "1.9.0", "1.2.3", "v0.1.0", "1", "1.2", "latest", "main"]


def test_the_tags_of_a_digest(served: Served) -> None:
    """Only those that stand on it."""
    digest = Digest(served.tags()["1.2.3"])
    other = list_tags(served.session, served.reference(), digest=Digest.of(b"x"))

    assert list_tags(served.session, served.reference(), sort="name", digest=digest) == sorted(ORDER)
    assert other == []


def test_a_repository_without_tags(served: Served) -> None:
    """Nothing to list is said, since it's mostly a wrong name."""
    with pytest.raises(NotFound, match="nobody/here has no tags"):
        list_tags(served.session, served.reference("nobody/here"))


def test_tags_are_set_in_order(served: Served) -> None:
    """Each once, in the order given, and reported; what stands there already isn't written again."""
    digest = set_tags(served.session, served.reference("team/hello:1.2.3"), ["b", "a", "latest", "b"])

    assert digest == served.tags()["a"] == served.tags()["b"]
    assert served.writes == [f"PUT /v2/team/hello/manifests/{tag}" for tag in ("b", "a")]
    told = [event for event in served.events if isinstance(event, TagKept | TagMoved)]
    assert told == [TagKept("latest", "it stands there already"), TagMoved("b", digest), TagMoved("a", digest)]


def test_a_tag_from_a_digest(served: Served) -> None:
    """What is to be tagged may be named by digest."""
    digest = served.tags()["latest"]

    assert set_tags(served.session, served.reference(f"team/hello@{digest}"), ["x"]) == digest


def test_wrong_names_write_nothing(served: Served) -> None:
    """A tag that isn't one, or a source that isn't there, is found before the first write."""
    with pytest.raises(UsageError, match="not a tag"):
        set_tags(served.session, served.reference("team/hello:1"), ["good", "-bad"])
    with pytest.raises(NotFound):
        set_tags(served.session, served.reference("team/hello:none"), ["good"])
    assert served.writes == []


def test_removing_tags(served: Served) -> None:
    """Each goes alone; what it stood on and the other tags on it stay; one that is gone is left at that."""
    removals = plan_removal(
        served.session,
        [served.reference("team/hello:1"), served.reference("team/hello:none"), served.reference("team/hello:1")],
    )
    assert served.writes == []
    assert [str(removal.reference.tag) for removal in removals] == ["1", "none"]

    remove_tags(served.session, removals)

    assert sorted(served.tags()) == ["1.2", "1.2.3", "latest"]
    assert served.writes == ["DELETE /v2/team/hello/manifests/1"]
    assert [event for event in served.events if isinstance(event, TagRemoved | TagKept)] == [
        TagKept("none", "it isn't there"),
        TagRemoved(f"{served.host}/team/hello:1"),
    ]


def test_what_goes_with_a_tag_is_put_back(tmp_path: Path) -> None:
    """Where a registry takes the digest and its other tags along, they are there again; of two that go, neither is."""
    with serving(Cascading()) as served:
        release(served, attested_layout(tmp_path, "linux/amd64"))
        before = served.tags()
        references = [served.reference(f"team/hello:{tag}") for tag in ("1", "latest")]

        remove_tags(served.session, plan_removal(served.session, references))

        assert served.tags() == {tag: digest for tag, digest in before.items() if tag not in ("1", "latest")}
    warned = [event for event in served.events if isinstance(event, Note) and event.warning]
    assert len(warned) == 1
    assert before["1"] in warned[0].text


def test_an_image_goes_with_its_last_tag_and_is_put_back(tmp_path: Path) -> None:
    """What a tag stood on stays, also where nothing else names it."""
    with serving(Cascading()) as served:
        digest = release(served, attested_layout(tmp_path, "linux/amd64"), tags=["only"]).index.digest
        remove_tags(served.session, plan_removal(served.session, [served.reference("team/hello:only")]))

        names = served.registry.store.names("team/hello")
    assert names is not None
    assert digest in names.manifests
    assert names.tags == {}


@pytest.mark.parametrize("text", ["reg.test/a", f"reg.test/a@{Digest.of(b'')}", f"reg.test/a:1@{Digest.of(b'')}"])
def test_only_tags_are_removed(served: Served, text: str) -> None:
    """A repository or a digest isn't a tag: deleting one takes much more."""
    with pytest.raises(UsageError, match="doesn't name a tag"):
        plan_removal(served.session, [Reference.parse(text)])


def test_a_registry_that_cannot(tmp_path: Path) -> None:
    """Nothing is deleted by digest instead: it's refused, and the hint says why."""
    with serving(Undeletable()) as served:
        release(served, attested_layout(tmp_path, "linux/amd64"))
        removals = plan_removal(served.session, [served.reference("team/hello:1")])
        with pytest.raises(Refused, match="can't remove a tag alone") as caught:
            remove_tags(served.session, removals)

        assert sorted(served.tags()) == sorted(ORDER)
    assert caught.value.hint is not None
