"""One build to several registries: what fails in one is finished later, and nothing is built again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.ops.support import attested_layout
from tests.support.command import output_of, peer, regkit, started
from tests.support.proxy import proxy
from tests.support.registries import RunningRegistry, debian, distribution, embedded
from tests.support.releases import PLATFORMS, REPOSITORY, validate
from tests.support.waiting import until

ORDER = ["1", "1.2", "1.2.3", "latest"]
NOWHERE = {"BUILDKIT_HOST": "unix:///nowhere"}


@pytest.fixture
def three(tmp_path: Path) -> Iterator[tuple[RunningRegistry, ...]]:
    with distribution(tmp_path / "a") as first, debian(tmp_path / "b") as second, embedded(tmp_path / "c") as third:
        yield first, second, third


def digests(registry: RunningRegistry, repository: str = REPOSITORY) -> set[str]:
    names = [f"{registry.host}/{repository}:{tag}" for tag in registry.tags(repository)]
    return {output_of(peer("crane", "digest", name)).strip() for name in names}


def publishing(source: Path, *hosts: str) -> list[str | Path]:
    images = [word for host in hosts for word in ("--image", f"{host}/{REPOSITORY}")]
    return ["publish", source, *images, "--platform", ",".join(PLATFORMS)]


@pytest.mark.parametrize("path", ["/blobs/uploads/", "/manifests/sha256:", "/manifests/1.2.3$"])
def test_a_rerun_completes_what_failed_without_a_builder(
    three: tuple[RunningRegistry, ...], hello: Path, builder: str, path: str
) -> None:
    """The first of three refuses blobs, images or a tag: 8, it has no tag; again, without a builder: all are whole."""
    first, second, third = three
    with proxy(first.host) as between:
        method = "POST" if "uploads" in path else "PUT"
        between.answer(method, path, 403, times=1000)
        command = publishing(hello, between.host, second.host, third.host)

        done = regkit(*command, env={"BUILDKIT_HOST": builder})

        assert done.returncode == 8, done.stderr
        assert f"{between.host}/{REPOSITORY} lacks {', '.join(ORDER)} (" in done.stderr
        assert done.stdout.splitlines() == [f"{r.host}/{REPOSITORY}@{d}" for r in (second, third) for d in digests(r)]
        assert second.tags(REPOSITORY) == third.tags(REPOSITORY) == ORDER
        assert first.tags(REPOSITORY) == []

    marks = second.mark(), third.mark()
    again = output_of(regkit(*publishing(hello, *(registry.host for registry in three)), env=NOWHERE))

    assert {line.partition("@")[2] for line in again.splitlines()} == digests(second)
    assert [registry.tags(REPOSITORY) for registry in three] == [ORDER] * 3
    assert second.writes(marks[0]) == third.writes(marks[1]) == []
    for line in again.splitlines():
        validate(line)


def test_what_is_published_during_a_build_is_seen_after_it(
    three: tuple[RunningRegistry, ...], hello: Path, builder: str, tmp_path: Path
) -> None:
    """While one builds, another publishes other content under that version: 9, and nothing is written over it."""
    registry = three[0]
    with proxy(registry.host) as between:
        between.hold("GET", "/tags/list").release()
        built = between.hold("GET", "/tags/list")
        command = publishing(hello, between.host)
        with started(*command, home=tmp_path, env={"BUILDKIT_HOST": builder}, stderr=PIPE) as process:
            until(built.held.is_set, "it has built, and looks again", 100)
            layout = attested_layout(tmp_path / "layout", "linux/amd64")
            image = f"{registry.host}/{REPOSITORY}"
            other = output_of(regkit("publish", "--image", image, "--version", "1.2.3", "--from", layout))
            built.release()
            _, said = process.communicate(timeout=60)

        assert process.returncode == 9, said
        assert f"{REPOSITORY}:1.2.3 is published already with other content" in said.decode()
        assert between.requests("PUT") == between.requests("POST") == []
    assert digests(registry) == {other.strip().partition("@")[2]}


def test_the_same_published_during_a_build_is_taken(
    three: tuple[RunningRegistry, ...], hello: Path, builder: str, tmp_path: Path
) -> None:
    """While one builds, another publishes the same source: that is taken, and both end well with one digest."""
    registry = three[0]
    with proxy(registry.host) as between:
        between.hold("GET", "/tags/list").release()
        built = between.hold("GET", "/tags/list")
        with started(*publishing(hello, between.host), home=tmp_path, env={"BUILDKIT_HOST": builder}) as process:
            until(built.held.is_set, "it has built, and looks again", 100)
            other = output_of(regkit(*publishing(hello, registry.host), env={"BUILDKIT_HOST": builder}))
            built.release()
            out, said = process.communicate(timeout=60)

        assert process.returncode == 0, said
        assert out.decode().partition("@")[2] == other.partition("@")[2]
        assert between.requests("PUT") == between.requests("POST") == []
