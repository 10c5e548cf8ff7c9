"""What others do to our tags between our writes and our look at them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import Refused, RegkitError, VerificationFailed
from regkit.oci.digest import Digest
from regkit.ops.settle import ROUNDS
from regkit.ops.tags import set_tags
from regkit.protocol.flow import Bytes, Request, Response
from regkit.targets.repository import Repository
from tests.ops.support import ORDER, Served, attested_layout, manifest_name, release, serving


class Meddled(DevRegistry):
    """Somebody moves tags right after some of them were written, `times` times."""

    def __init__(self) -> None:
        super().__init__()
        self.after: str | None = None
        self.times = 1
        self.moves: dict[str, str] = {}

    def handle(self, request: Request) -> Response:
        response = super().handle(request)
        if request.method == "PUT" and self.after is not None and manifest_name(request) == self.after and self.times:
            self.times -= 1
            prefix = request.url.partition("/manifests/")[0]
            for tag, digest in self.moves.items():
                read = super().handle(Request("GET", f"{prefix}/manifests/{digest}"))
                kind = {"content-type": read.headers["content-type"]}
                put = Request("PUT", f"{prefix}/manifests/{tag}", kind, Bytes(read.body.read()))
                assert super().handle(put).status == 201
        return response


@pytest.fixture
def layouts(tmp_path: Path) -> Callable[[str], Path]:
    return lambda content: attested_layout(tmp_path / content, "linux/amd64", content=content)


def prepared(served: Served, layout: Path, version: str) -> str:
    """Publish a version, and take all its tags away again: its content is there for whoever names it."""
    digest = release(served, layout, version).index.digest
    for tag in served.tags():
        assert Repository(served.session, served.reference()).untag(tag)
    return digest


@pytest.mark.parametrize(
    ("version", "moves", "lost", "said"),
    [
        pytest.param("v1.3.0", ["1.3.0", "latest"], {"latest", "1"}, "1.3.0", id="a higher one with its own tag"),
        pytest.param("v1.3.0", ["latest"], {"latest"}, "1.3.0", id="a higher one that has none yet"),
        pytest.param("v1.2.0", ["1.2.0", "1", "latest"], set(), "", id="a lower one"),
        pytest.param("v1.2.3+other", ["1.2.3_other", "latest"], set(), "", id="another build of it"),
        pytest.param("v1.2.3", ["1.2.3"], set(ORDER), "other content", id="other content of it"),
        pytest.param("v1.2.3", ["1", "latest"], set(), "", id="other content of it that lost its own tag"),
        pytest.param("v2.0.0-rc.1", ["2.0.0-rc.1", "latest"], set(), "", id="a pre-release on an alias"),
    ],
)
def test_what_others_moved(
    layouts: Callable[[str], Path], version: str, moves: list[str], lost: set[str], said: str
) -> None:
    """What is lost follows whoever has it; what isn't is written again. The rest is as it was asked for."""
    registry = Meddled()
    with serving(registry) as served:
        theirs = prepared(served, layouts("theirs"), version)
        registry.after, registry.moves = "latest", dict.fromkeys(moves, theirs)
        try:
            result = release(served, layouts("ours"))
        except Refused as error:
            assert lost == set(ORDER)
            unfinished: RegkitError | None = error
        else:
            unfinished = result.unfinished
            assert set(result.tags) == set(ORDER) - lost
        tags = served.tags()
    builds = {"latest"} if version.endswith("+other") else set()
    assert {tag for tag in ORDER if tags[tag] == theirs} == lost | builds
    assert len({tags[tag] for tag in set(ORDER) - lost - builds}) <= 1
    assert (unfinished is not None) == bool(lost)
    if unfinished is not None:
        assert isinstance(unfinished, Refused)
        assert f"went to {said}, {theirs}" in unfinished.message
    assert served.waits == []


@pytest.mark.parametrize("tags", [["main"], ["a", "b"]])
def test_a_name_without_a_version(layouts: Callable[[str], Path], tags: list[str]) -> None:
    """A branch, or given tags: who wrote last has them; the other one is told so."""
    registry = Meddled()
    with serving(registry) as served:
        theirs = prepared(served, layouts("theirs"), "main")
        registry.after, registry.moves = tags[-1], {tags[-1]: theirs}
        if len(tags) == 1:
            with pytest.raises(Refused, match=f"main went to other content, {theirs}"):
                release(served, layouts("ours"), "main")
        else:
            result = release(served, layouts("ours"), tags=tags)
            assert (result.tags, isinstance(result.unfinished, Refused)) == (("a",), True)

        assert served.tags()[tags[-1]] == theirs


def test_a_tag_that_is_set(layouts: Callable[[str], Path]) -> None:
    """`tag set` says it too, and doesn't fight."""
    registry = Meddled()
    with serving(registry) as served:
        theirs = prepared(served, layouts("theirs"), "main")
        ours = release(served, layouts("ours"), "main").index.digest
        registry.after, registry.moves = "x", {"x": theirs}

        with pytest.raises(Refused, match="x went to other content"):
            set_tags(served.session, served.reference("team/hello:main"), ["x"])
        assert served.tags() == {"main": ours, "x": theirs}


def test_others_who_never_rest(layouts: Callable[[str], Path]) -> None:
    """Somebody who puts an alias on a lower version again and again: it ends, with 9."""
    registry = Meddled()
    with serving(registry) as served:
        theirs = [prepared(served, layouts(version), version) for version in ("v1.0.0", "v1.1.0")]
        registry.after, registry.times = "latest", 10 * ROUNDS

        class Turns(dict[str, str]):
            def items(self):  # type: ignore[no-untyped-def]
                theirs.reverse()  # another one each time: the same again could be a registry that lags
                return {"latest": theirs[0]}.items()

        registry.moves = Turns()
        with pytest.raises(Refused, match="others keep moving"):
            release(served, layouts("ours"))


def test_downgrades_are_not_settled(layouts: Callable[[str], Path]) -> None:
    """Who asks for a downgrade gets it, and the tags aren't listed again."""
    with serving() as served:
        release(served, layouts("higher"), "v2.0.0")
        served.access.clear()

        result = release(served, layouts("ours"), allow_downgrade=True)

        assert served.tags()["latest"] == result.index.digest
        assert len([each for each in served.access if "/tags/list" in each.path]) == 1


def test_a_tag_that_falls_back(layouts: Callable[[str], Path]) -> None:
    """A tag that shows what it showed before is a registry that lags: it's waited for, and then it's an error."""
    registry = Meddled()
    with serving(registry) as served:
        before = release(served, layouts("before"), "main").index.digest
        registry.after, registry.moves = "main", {"main": str(Digest(before))}

        with pytest.raises(VerificationFailed, match=f"was written, but shows {before}"):
            release(served, layouts("ours"), "main")

    assert served.waits
