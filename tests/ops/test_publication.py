"""What is looked at once intermediate tags are gone: what went along is brought back, and nobody else's is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from regkit.devregistry.answer import Fault
from regkit.devregistry.app import DevRegistry
from regkit.errors import PartlyDone, Unavailable, VerificationFailed
from regkit.events import Note
from regkit.protocol.flow import Bytes, Request, Response
from tests.ops.support import ORDER, Cascading, Served, attested_layout, manifest_name, release, serving

PLATFORMS = ("linux/amd64", "linux/arm64/v8")
NAMES = tuple(f"8f3c2b1-{platform.replace('/', '-')}" for platform in PLATFORMS)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return attested_layout(tmp_path / "layout", *PLATFORMS)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    return attested_layout(tmp_path / "foreign", "linux/amd64", content="foreign")


class Watched(DevRegistry):
    """It does something `once` the first intermediate tag goes, and refuses what `fails` names from then on."""

    def __init__(self, once: Callable[[str], None] = lambda _: None) -> None:
        super().__init__()
        self.once, self.went = once, False
        self.fails: Callable[[Request], int] = lambda _: 0

    def handle(self, request: Request) -> Response:
        response = super().handle(request) if not self.went or not self.fails(request) else None
        if request.method == "DELETE" and not self.went:
            self.went = True
            self.once(request.url.partition("/manifests/")[0])
        return response or Fault(self.fails(request), "UNAVAILABLE", "not now").response()

    def move(self, prefix: str, digest: str, *tags: str) -> None:
        """Put tags somewhere, as somebody else does."""
        read = super().handle(Request("GET", f"{prefix}/manifests/{digest}"))
        kind, raw = {"content-type": read.headers["content-type"]}, read.body.read()
        for tag in tags:
            assert super().handle(Request("PUT", f"{prefix}/manifests/{tag}", kind, Bytes(raw))).status == 201

    def drop(self, prefix: str, name: str) -> None:
        """Lose a tag, or a manifest with all its tags."""
        assert super().handle(Request("DELETE", f"{prefix}/manifests/{name}")).status == 202


def with_tags(served: Served, layout: Path) -> tuple[str, ...]:
    result = release(served, layout, intermediate="tag")
    assert result.unfinished is None
    return result.tags


def test_what_somebody_else_moves_meanwhile_is_theirs(layout: Path, foreign: Path) -> None:
    """A higher release takes `1` and `latest` while our intermediate tags go: they stay there, and all is well."""
    registry = Watched()
    with serving(registry) as served:
        theirs = release(served, foreign, "v1.0.0", aliases=False)
        registry.once = lambda prefix: registry.move(prefix, theirs.index.digest, "1", "latest")

        with_tags(served, layout)

        ours = served.tags()["1.2.3"]
        assert {tag for tag, digest in served.tags().items() if digest == ours} == {"1.2", "1.2.3"}
        assert served.tags()["1"] == served.tags()["latest"] == theirs.index.digest
    assert served.waits == []


def test_an_index_that_shows_late_is_not_lost(layout: Path, foreign: Path) -> None:
    """The index isn't found by its digest, and somebody has a tag by now: nothing is pushed, least of all that tag."""
    registry = Watched()
    with serving(registry) as served:
        theirs = release(served, foreign, "v1.0.0", aliases=False)
        registry.once = lambda prefix: registry.move(prefix, theirs.index.digest, "latest")
        registry.fails = lambda request: (
            404 if request.method == "HEAD" and manifest_name(request) == served.tags()["1.2.3"] else 0
        )

        with_tags(served, layout)

        assert served.tags()["latest"] == theirs.index.digest
    assert not [line for line in served.writes[served.writes.index(_delete(NAMES[0])) :] if line.startswith("PUT")]
    assert not [event for event in served.events if isinstance(event, Note) and event.warning]


def test_tags_that_go_along_come_back_and_others_stay_theirs(layout: Path, foreign: Path) -> None:
    """The index goes with all its tags, and somebody has `latest` by then: only what shows nothing is written."""
    registry = Watched()
    with serving(registry) as served:
        theirs = release(served, foreign, "v1.0.0", aliases=False)

        def cascade(prefix: str) -> None:
            registry.drop(prefix, served.tags()["1.2.3"])
            registry.move(prefix, theirs.index.digest, "latest")

        registry.once = cascade
        with_tags(served, layout)

        ours = served.tags()["1.2.3"]
        assert served.tags() == {
            **dict.fromkeys(ORDER[:3], ours), "latest": theirs.index.digest, "1.0.0": theirs.index.digest
        }  # fmt: skip
    assert [line for line in served.writes if line.startswith("PUT")][-3:] == [
        f"PUT /v2/team/hello/manifests/{tag}" for tag in ORDER[:3]
    ]


@pytest.mark.parametrize(
    ("method", "ends", "left", "said"),
    [
        pytest.param("DELETE", NAMES[1:], NAMES[1:], "these tags stay", id="the second tag"),
        pytest.param("HEAD", ORDER, (), "still has all of it", id="the tags afterwards"),
    ],
)
def test_what_is_temporary_costs_no_release(
    layout: Path, method: str, ends: tuple[str, ...], left: tuple[str, ...], said: str
) -> None:
    """The release is up, which is the result; what is left is said, and goes with the same command again."""
    registry = Watched()
    with serving(registry) as served:
        registry.fails = lambda request: 503 if request.method == method and manifest_name(request) in ends else 0
        result = release(served, layout, intermediate="tag")

        assert isinstance(result.unfinished, PartlyDone)
        assert said in result.unfinished.message
        assert "the release is up, but" in result.unfinished.message
        assert "the same command again" in str(result.unfinished.hint)
        assert served.tags() == {**dict.fromkeys(ORDER, result.index.digest), **{t: served.tags()[t] for t in left}}

        registry.fails = lambda _: 0
        assert with_tags(served, layout) == result.tags == tuple(ORDER)
        assert served.tags() == dict.fromkeys(ORDER, result.index.digest)


def test_what_went_along_is_brought_back_though_the_next_tag_stays(layout: Path) -> None:
    """The first tag takes its image along, the second can't be removed now: the image comes back, and it is said."""

    class Both(Watched, Cascading):
        """It cascades, and then fails."""

    registry = Both()
    with serving(registry) as served:
        registry.fails = lambda request: 503 if request.method == "DELETE" else 0
        result = release(served, layout, intermediate="tag")

        assert isinstance(result.unfinished, PartlyDone)
        assert NAMES[1] in result.unfinished.message
        for image in result.images:
            assert served.registry.handle(Request("HEAD", f"/v2/team/hello/manifests/{image.digest}")).status == 200


@pytest.mark.parametrize(("status", "kind"), [(503, Unavailable), (404, VerificationFailed)])
def test_what_does_not_come_back_is_no_release(layout: Path, status: int, kind: type[Exception]) -> None:
    """An image goes along and can't be pushed back, or doesn't show: that is an error, and no result."""
    registry = Watched()
    with serving(registry) as served:
        children: list[str] = []

        def cascade(prefix: str) -> None:
            children.append(served.tags()[NAMES[1]])
            registry.drop(prefix, children[0])

        registry.once = cascade
        method = "PUT" if status == 503 else "HEAD"
        registry.fails = lambda r: status if r.method == method and manifest_name(r) in children else 0

        with pytest.raises(kind):
            release(served, layout, intermediate="tag")


def _delete(name: str) -> str:
    return f"DELETE /v2/team/hello/manifests/{name}"
