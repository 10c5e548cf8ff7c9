"""A registry that refuses a tag halfway: the tags before it are put back, unless the release is up by then."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from regkit.devregistry.answer import Fault
from regkit.devregistry.app import DevRegistry
from regkit.errors import AccessDenied, PartlyDone, Refused, RegkitError, Unavailable
from regkit.oci.descriptor import Descriptor
from regkit.ops.tags import set_tags
from regkit.protocol.flow import Bytes, Request, Response
from regkit.targets.repository import Repository
from tests.ops.support import ORDER, Cascading, Served, attested_layout, manifest_name, release, serving


class Ruled(DevRegistry):
    """It has rules for tags: what is `refused` isn't written and what is `kept` isn't removed, each with a status.

    When it refuses, somebody else has moved the tags in `stolen` to what each is given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[str, int] = {}
        self.kept: Collection[str] = ()
        self.stolen: dict[str, str] = {}
        self.broken: Collection[str] = ()

    def handle(self, request: Request) -> Response:
        name = manifest_name(request)
        if request.method == "PUT" and name in self.refused:
            for tag, digest in self.stolen.items():
                self._put(request.url.partition("/manifests/")[0], tag, digest)
            return Fault(self.refused[name], "DENIED", f"there is a rule for {name}").response()
        if request.method == "DELETE" and name in self.kept:
            return Fault(405, "UNSUPPORTED", "no").response()
        if self.refused and request.method == "GET" and name in self.broken:
            return Fault(404, "MANIFEST_UNKNOWN", "gone").response()
        return super().handle(request)

    def _put(self, prefix: str, tag: str, digest: str) -> None:
        read = super().handle(Request("GET", f"{prefix}/manifests/{digest}"))
        kind = {"content-type": read.headers["content-type"]}
        assert super().handle(Request("PUT", f"{prefix}/manifests/{tag}", kind, Bytes(read.body.read()))).status == 201


@pytest.fixture
def layouts(tmp_path: Path) -> dict[str, Path]:
    return {name: attested_layout(tmp_path / name, "linux/amd64", content=name) for name in ("old", "new")}


def prepared(served: Served, layout: Path, *tags: str) -> str:
    """Publish what was before, and leave these of its tags."""
    digest = release(served, layout, "v1.2.2").index.digest
    repository = Repository(served.session, served.reference())
    for tag in served.tags().keys() - set(tags):
        assert repository.untag(tag)
    return digest


@pytest.mark.parametrize(
    ("status", "kind"), [(412, Refused), (405, Refused), (403, AccessDenied), (400, Refused)], ids=str
)
@pytest.mark.parametrize("refused", ["1", "1.2", "1.2.3"])
@pytest.mark.parametrize("there", [("1", "1.2", "latest"), ("1.2",), ()], ids=len)
def test_all_or_nothing(
    layouts: dict[str, Path], refused: str, there: tuple[str, ...], status: int, kind: type[RegkitError]
) -> None:
    """Whatever was moved, or was new, is as before; the error names each, and the refusal's own words."""
    registry = Ruled()
    with serving(registry) as served:
        prepared(served, layouts["old"], *there)
        before = served.tags()
        registry.refused = {refused: status}

        with pytest.raises(kind, match=f"there is a rule for {refused}") as caught:
            release(served, layouts["new"])

        assert served.tags() == before
        error = caught.value
        written = ORDER[: ORDER.index(refused)]
        for tag in written:
            assert f"{tag} ({before.get(tag, 'removed again')})" in error.message
        assert ("put back" in error.message) == bool(written)
        assert ("--no-aliases" in (error.hint or "")) == (refused != "1.2.3")
        assert ("check that the account may" in (error.hint or "")) == (status == 403)

        registry.refused = {}
        assert release(served, layouts["new"]).tags == tuple(ORDER)


def test_without_aliases_there_is_nothing_to_refuse(layouts: dict[str, Path]) -> None:
    """What the hint says helps."""
    registry = Ruled()
    with serving(registry) as served:
        before = prepared(served, layouts["old"], "1.2")
        registry.refused = {"1.2": 412}

        result = release(served, layouts["new"], aliases=False)

        assert served.tags() == {"1.2": before, "1.2.3": result.index.digest}


@pytest.mark.parametrize("status", [412, 403])
def test_once_the_version_stands_the_release_is_up(layouts: dict[str, Path], status: int) -> None:
    """`latest` can't move: the others stand, and the result says so; a rerun writes nothing and says the same."""
    registry = Ruled()
    with serving(registry) as served:
        before = prepared(served, layouts["old"], "1.2", "latest")
        registry.refused = {"latest": status}
        for _ in range(2):
            result = release(served, layouts["new"])

            assert served.tags() == {**dict.fromkeys(ORDER[:3], result.index.digest), "latest": before}
            assert (result.tags, result.kept) == (tuple(ORDER[:3]), ("latest",))
            assert isinstance(result.unfinished, PartlyDone)
            assert "the release is up, but" in result.unfinished.message
            assert "lacks latest: " in result.unfinished.message
            assert "there is a rule for latest" in result.unfinished.message


def test_a_version_that_stands_already_is_up_before_its_turn(layouts: dict[str, Path]) -> None:
    """The aliases of a release that is up, one of which can't move: the others do."""
    registry = Ruled()
    with serving(registry) as served:
        digest = release(served, layouts["new"]).index.digest
        before = prepared(served, layouts["old"], "1.2.3", "1.2", "latest")
        Repository(served.session, served.reference()).push(*_named(served, before), "1.2")
        registry.refused = {"1.2": 412}

        result = release(served, layouts["new"])

        assert served.tags() == {**dict.fromkeys(ORDER, digest), "1.2": before}
        assert (result.tags, result.kept) == (("1", "1.2.3", "latest"), ("1.2",))


def test_what_cannot_be_put_back_is_named(layouts: dict[str, Path]) -> None:
    """A new tag that can't be removed, and one whose former content can't be read, stand on this release."""
    registry = Ruled()
    with serving(registry) as served:
        before = prepared(served, layouts["old"], "1.2", "latest")
        registry.refused, registry.kept, registry.broken = {"1.2.3": 412}, ("1",), (before,)

        with pytest.raises(Refused) as caught:
            release(served, layouts["new"])

        ours = served.tags()["1"]
        assert served.tags() == {"1": ours, "1.2": ours, "latest": before}
    said = caught.value.message.partition("not put back: ")[2]
    assert said.startswith("1 (it can't remove a tag alone), 1.2 (")
    assert "MANIFEST_UNKNOWN" in said


def test_what_somebody_else_moved_meanwhile_stays_theirs(layouts: dict[str, Path]) -> None:
    """Only what still stands on this release is put back."""
    registry = Ruled()
    with serving(registry) as served:
        theirs = release(served, attested_layout(layouts["old"].parent / "theirs", "linux/arm64"), "main").index.digest
        before = prepared(served, layouts["old"], "1", "1.2", "latest", "main")
        registry.refused, registry.stolen = {"1.2.3": 412}, {"1": theirs}

        with pytest.raises(Refused, match=rf"left there: 1 \({theirs}\); put back: 1\.2 \({before}\)"):
            release(served, layouts["new"])

        assert served.tags() == {"main": theirs, "1": theirs, "1.2": before, "latest": before}


def test_given_tags_are_all_or_nothing_too(layouts: dict[str, Path]) -> None:
    """With -t, and by `tag set`: there is no version among them, so no release is up by half of them."""
    registry = Ruled()
    with serving(registry) as served:
        before = prepared(served, layouts["old"], "a", "latest")
        registry.refused = {"c": 412}
        for act in (
            lambda: release(served, layouts["new"], tags=["a", "latest", "c", "d"]),
            lambda: set_tags(served.session, served.reference("team/hello:latest"), ["a", "b", "c"]),
        ):
            with pytest.raises(Refused, match="rule for c") as caught:
                act()
            assert served.tags() == {"latest": before}
            assert "--no-aliases" not in str(caught.value.hint)


def test_a_tag_that_stood_already_survives_a_registry_that_cascades(layouts: dict[str, Path]) -> None:
    """The removal of a new tag takes along what another one stands on, too: that one comes back, with all content."""

    class Both(Ruled, Cascading):
        """It has rules, and takes content along with a tag."""

    registry = Both()
    with serving(registry) as served:
        before = release(served, layouts["new"], tags=["a"])
        registry.refused = {"c": 412}

        with pytest.raises(Refused, match=r"put back: b \(removed again\)"):
            release(served, layouts["new"], tags=["a", "b", "c"])

        assert served.tags() == {"a": before.index.digest}
        for image in before.images:
            assert registry.handle(Request("HEAD", f"/v2/team/hello/manifests/{image.digest}")).status == 200


def test_what_is_temporary_is_not_taken_back(layouts: dict[str, Path]) -> None:
    """A registry that goes halfway: what stands, stands, and the same command again does the rest."""
    registry = Ruled()
    with serving(registry) as served:
        registry.refused = {"1.2": 503}
        with pytest.raises(Unavailable, match="before that, 1 was moved") as caught:
            release(served, layouts["new"])
        assert served.tags().keys() == {"1"}
        assert caught.value.hint == "the same command again moves the rest"

        registry.refused = {}
        assert release(served, layouts["new"]).tags == tuple(ORDER)


def _named(served: Served, digest: str) -> tuple[Descriptor, Bytes]:
    manifest = Repository(served.session, served.reference()).manifest(digest)
    return manifest.descriptor, Bytes(manifest.raw)
