"""Publishing the same to several repositories, of one registry and of several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regkit.build.spec import BuildSpec
from regkit.devregistry.app import DevRegistry
from regkit.errors import AccessDenied, PartlyDone, Refused, Unavailable
from regkit.ops.publish import plan, publish
from regkit.ops.request import publish_spec
from regkit.ops.result import PublishResult
from regkit.ops.spec import PublishSpec
from regkit.protocol.flow import Request, Response
from regkit.targets.repository import Repository
from tests.ops.support import COMMIT, ORDER, PLATFORMS, Served, Undeletable, attested_layout, serving, tags_put


class Broken(DevRegistry):
    """It fails each request that `fails` names, by method and the end of its path, as long as it is `broken`."""

    def __init__(self, method: str, *ends: str, status: int = 500) -> None:
        super().__init__()
        self.broken = True
        self._method, self._ends, self._status = method, ends, status

    def handle(self, request: Request) -> Response:
        hit = request.method == self._method and request.url.partition("?")[0].endswith(self._ends)
        return Response(self._status) if self.broken and hit else super().handle(request)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return attested_layout(tmp_path / "layout", *PLATFORMS)


@pytest.fixture
def two() -> Iterator[tuple[Served, Served]]:
    with serving() as first, serving() as second:
        yield first, second


def spec_for(images: list[str], layout: Path, **options: Any) -> PublishSpec:
    return publish_spec(images, sources=[layout], version="v1.2.3", commit=COMMIT, env={}, **options)


def go(served: Served, images: list[str], layout: Path, **options: Any) -> PublishResult:
    return publish(served.session, spec_for(images, layout, **options), env={})


def is_whole(served: Served, repository: str = "team/hello") -> bool:
    target = Repository(served.session, served.reference(repository))
    index = target.manifest("1.2.3")
    children = [target.manifest(child.digest) for child in index.manifests]
    return all(target.exists(blob) for child in children for blob in child.blobs)


def test_the_same_digest_everywhere(two: tuple[Served, Served], layout: Path) -> None:
    """Every repository has all content, and all tags on the one digest; the result names each."""
    first, second = two
    images = [f"{first.host}/team/hello", f"{second.host}/team/hello"]

    result = go(first, images, layout)

    assert first.tags() == second.tags() == dict.fromkeys(ORDER, result.index.digest)
    assert is_whole(first)
    assert is_whole(second)
    assert result.names == tuple(f"{image}@{result.index.digest}" for image in images)
    assert [each["tags"] for each in result.to_json()["destinations"]] == [ORDER, ORDER]
    assert result.unfinished is None


def test_all_content_is_everywhere_before_the_first_tag(layout: Path) -> None:
    """The first tag of any repository is written after the last content of all: shown with one log for both."""
    with serving() as served:
        images = [f"{served.host}/{name}" for name in ("a/one", "b/two", "c/three")]
        go(served, images, layout)

        names = [line.rpartition("/")[2] for line in served.writes]
        first_tag = next(n for n, name in enumerate(names) if name in ORDER)
        assert all(name in ORDER for name in names[first_tag:])
        assert names[first_tag:] == ORDER * 3
        for image in images:
            assert is_whole(served, image.partition("/")[2])


def test_within_a_registry_blobs_are_mounted(layout: Path) -> None:
    """The second repository of a registry takes the blobs over from the first: none is sent twice."""
    with serving() as served:
        go(served, [f"{served.host}/a/one", f"{served.host}/b/two"], layout)

        sent = [line for line in served.writes if line.startswith("PUT") and "/blobs/" in line]
        mounts = [each for each in served.access if "mount=" in each.path and "/b/two/" in each.path]
    assert sent
    assert not [line for line in sent if "/b/two/" in line]
    assert {each.status for each in mounts} == {201}
    assert all("from=a%2Fone" in each.path or "from=a/one" in each.path for each in mounts)


@pytest.mark.parametrize("end", ["1.2.3", "uploads/"])
def test_one_that_fails_leaves_the_others_finished(layout: Path, end: str) -> None:
    """A repository that fails, with its content or with a tag: the others are tagged; a sentence says what lacks."""
    broken = Broken("PUT" if end == "1.2.3" else "POST", end)
    with serving() as good, serving(broken) as bad, serving() as third:
        images = [f"{served.host}/team/hello" for served in (good, bad, third)]
        result = go(good, images, layout)

        assert good.tags() == third.tags() == dict.fromkeys(ORDER, result.index.digest)
        assert bad.tags() == (dict.fromkeys(("1", "1.2"), result.index.digest) if end == "1.2.3" else {})
        assert isinstance(result.unfinished, PartlyDone)
        assert result.names == (f"{images[0]}@{result.index.digest}", f"{images[2]}@{result.index.digest}")
        lacking = "1.2.3, latest" if end == "1.2.3" else ", ".join(ORDER)
        assert f"{images[1]} lacks {lacking} (" in result.unfinished.message
        assert f"up in {images[0]}, {images[2]}," in result.unfinished.message

        broken.broken = False
        before = len(good.writes), len(third.writes)
        again = go(good, images, layout)
        assert again.unfinished is None
        assert (again.index, bad.tags()) == (result.index, dict.fromkeys(ORDER, result.index.digest))
        assert (len(good.writes), len(third.writes)) == before
        assert is_whole(bad)


@pytest.mark.parametrize(("method", "end"), [("POST", "uploads/"), ("PUT", "manifests/1")], ids=["content", "a tag"])
@pytest.mark.parametrize("others", [(), (500,)], ids=["alone", "with one that fails"])
def test_one_that_refuses_is_partly_done(layout: Path, method: str, end: str, others: tuple[int, ...]) -> None:
    """A registry that is read-only, say: the release is up in the other one, so it's 8, and the hint is what to do.

    Nobody else published; and a rerun is spoken of only where one finishes anything.
    """
    with ExitStack() as stack:
        registries = [DevRegistry(), *(Broken(method, end, status=status) for status in (405, *others))]
        served = [stack.enter_context(serving(registry)) for registry in registries]
        images = [f"{each.host}/team/hello" for each in served]
        result = go(served[0], images, layout)

        assert [each.tags() for each in served[1:]] == [{}] * len(served[1:])
    assert isinstance(result.unfinished, PartlyDone)
    assert all(f"{image} lacks {', '.join(ORDER)} (" in result.unfinished.message for image in images[1:])
    hint = str(result.unfinished.hint)
    assert ("--no-aliases leaves 1 alone" if method == "PUT" else "it may be read-only") in hint
    assert "others published" not in hint
    assert ("the same command again finishes it" in hint) == bool(others)


@pytest.mark.parametrize("whole", [0, 1])
def test_a_rerun_copies_from_whoever_has_it(two: tuple[Served, Served], layout: Path, whole: int) -> None:
    """Where one of them has this very version and source, nothing is built: the others get it from there."""
    there, empty = (two[whole], two[1 - whole])
    done = go(there, [f"{there.host}/team/hello"], layout)
    spec = spec_for([f"{served.host}/team/hello" for served in two], layout)
    building = BuildSpec(layout, layout / "Dockerfile", spec.platforms)
    there.access.clear()

    result = publish(there.session, replace(spec, content=None, build=building), env={"PATH": ""})

    assert (result.index, result.reused, result.unfinished) == (done.index, True, None)
    assert empty.tags() == dict.fromkeys(ORDER, done.index.digest)
    assert is_whole(empty)
    assert there.writes == []


def test_one_that_cannot_be_reached_leaves_the_others_finished(layout: Path) -> None:
    """A registry that is away from the beginning is said at once; the others are finished, and 8 is the end."""
    with serving() as good:
        with serving() as gone:
            away = f"{gone.host}/team/hello"
        for images in ([f"{good.host}/team/hello", away], [away, f"{good.host}/team/hello"]):
            result = go(good, images, layout)

            assert good.tags() == dict.fromkeys(ORDER, result.index.digest)
            assert isinstance(result.unfinished, PartlyDone)
            assert f"{away} lacks {', '.join(ORDER)}" in result.unfinished.message
        with pytest.raises(Unavailable):
            go(good, [away], layout)


def test_one_that_keeps_us_out_stops_all(layout: Path) -> None:
    """Where a login is missing somebody must act: nothing is written anywhere."""
    with serving() as good, serving(Broken("GET", "tags/list", status=403)) as closed:
        with pytest.raises(AccessDenied):
            go(good, [f"{good.host}/team/hello", f"{closed.host}/team/hello"], layout)

        assert good.writes == closed.writes == []


def test_other_content_anywhere_stops_all(two: tuple[Served, Served], layout: Path, tmp_path: Path) -> None:
    """An exact version with another digest in one repository: nothing is written in any."""
    first, second = two
    go(second, [f"{second.host}/team/hello"], attested_layout(tmp_path / "other", "linux/amd64", content="other"))
    second.access.clear()

    with pytest.raises(Refused, match=rf"{second.host}/team/hello:1\.2\.3 is published already"):
        go(first, [f"{first.host}/team/hello", f"{second.host}/team/hello"], layout)

    assert first.writes == second.writes == []


def test_aliases_are_each_repositorys_own(two: tuple[Served, Served], layout: Path, tmp_path: Path) -> None:
    """A higher release in one of them holds the aliases there, and nowhere else."""
    first, second = two
    newer = attested_layout(tmp_path / "newer", *PLATFORMS, content="newer")
    higher = publish(
        second.session, publish_spec(f"{second.host}/team/hello", sources=[newer], version="v2.0.0", env={}), env={}
    )

    result = go(first, [f"{first.host}/team/hello", f"{second.host}/team/hello"], layout)

    assert first.tags()["latest"] == result.index.digest
    assert second.tags()["latest"] == higher.index.digest
    assert [there.kept for there in result.destinations] == [(), ("latest",)]


def test_a_plan_shows_what_is_sent_where(two: tuple[Served, Served], layout: Path) -> None:
    """What lacks is listed for each repository, and nothing is pending once it is there."""
    first, second = two
    go(first, [f"{first.host}/team/hello"], layout)
    spec = spec_for([f"{served.host}/team/hello" for served in two], layout)

    made = plan(first.session, spec)

    assert spec.content is not None
    index = spec.index_of(spec.content)
    assert [there.pushes for there in made.destinations] == [(), (*index.manifests, index.descriptor)]
    assert made.pending
    publish(first.session, spec, env={})
    assert not plan(first.session, spec).pending
    assert tags_put(second) == ORDER


def test_intermediates_go_everywhere(two: tuple[Served, Served], layout: Path) -> None:
    """Platform tags on the way are removed in each repository."""
    first, second = two
    result = go(first, [f"{served.host}/team/hello" for served in two], layout, intermediate="tag")

    assert first.tags() == second.tags() == dict.fromkeys(ORDER, result.index.digest)
    for served in two:
        assert len([line for line in served.writes if line.startswith("DELETE")]) == len(PLATFORMS)
    assert result.unfinished is None


def test_what_is_broken_in_all_is_its_own_error(layout: Path) -> None:
    """Where none of them is finished there is no release, and the first error is the end."""
    with ExitStack() as stack:
        both = [stack.enter_context(serving(Broken("POST", "uploads/"))) for _ in range(2)]
        with pytest.raises(Unavailable):
            go(both[0], [f"{served.host}/team/hello" for served in both], layout)

        assert [served.tags() for served in both] == [{}, {}]
        assert [tags_put(served) for served in both] == [[], []]


def test_what_a_rerun_cannot_change_is_said_of_several_too(layout: Path) -> None:
    """Where registries can't remove tags, 8 names those that stay, and promises nothing of a rerun."""
    with serving(Undeletable()) as first, serving(Undeletable()) as second:
        images = [f"{served.host}/team/hello" for served in (first, second)]
        result = go(first, images, layout, intermediate="tag")

    assert isinstance(result.unfinished, PartlyDone)
    assert len(result.names) == 2
    assert all(f"{image} can't remove a tag alone" in result.unfinished.message for image in images)
    assert result.unfinished.hint is not None
    assert "a rerun can't change that" in result.unfinished.hint
