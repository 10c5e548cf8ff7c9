"""`publish --load`: a local engine gets an image, before anything is pushed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from regkit.build.machine import native_platform
from tests.support.command import output_of, regkit
from tests.support.engines import ENGINES, Engine, containerd
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry
from tests.support.releases import PLATFORMS, REPOSITORY, tags_of

pytestmark = pytest.mark.parametrize("registry", ["embedded"], indirect=True)
VERSION = ("--version", "v1.2.3", "--commit", "0" * 40)


@pytest.fixture(scope="module", params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Give each engine, below a path that is short enough for its socket."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root, ENGINES[request.param](Path(root, "e")) as e:
        yield e


def name_of(registry: RunningRegistry) -> str:
    return f"{registry.host}/{REPOSITORY}"


def test_an_engine_gets_the_image_for_this_machine(
    registry: RunningRegistry, engine: Engine, hello: Path, builder: str
) -> None:
    """Of a release for several platforms; it is called as in the registry."""
    asked = ("--image", name_of(registry), "--platform", ",".join(PLATFORMS), *VERSION)

    done = regkit("publish", hello, *asked, "--load", engine.name, env={**engine.env, "BUILDKIT_HOST": builder})

    assert done.returncode == 0, done.stderr
    assert engine.images()[f"{name_of(registry)}:1.2.3"] == native_platform().architecture
    assert "1.2.3" in tags_of(registry)


def test_another_platform_may_be_chosen(registry: RunningRegistry, engine: Engine, tmp_path: Path) -> None:
    """Also of what is built already; without a release that is a version, it goes by its first tag."""
    make_layout(tmp_path / "layout", ("linux/s390x", "linux/riscv64"))
    asked = ("--image", name_of(registry), "-t", "edge", "--load", engine.name, "--load-platform", "linux/riscv64")

    output_of(regkit("publish", "--from", str(tmp_path / "layout"), *asked, env=engine.env))

    assert engine.images()[f"{name_of(registry)}:edge"] == "riscv64"


def test_what_is_published_already_is_loaded_from_there(
    registry: RunningRegistry, engine: Engine, hello: Path, builder: str
) -> None:
    """A rerun builds nothing, and hands over the image that is published."""
    asked = ("--image", name_of(registry), "--platform", ",".join(PLATFORMS), *VERSION)
    env = {**engine.env, "BUILDKIT_HOST": builder}
    output_of(regkit("publish", hello, *asked, env=env))

    done = regkit("publish", hello, *asked, "--load", engine.name, env=env)

    assert done.returncode == 0, done.stderr
    assert "nothing to build" in done.stderr
    assert f"{name_of(registry)}:1.2.3" in engine.images()


@pytest.mark.parametrize("name", ["docker", "podman", "containerd"])
def test_an_engine_that_is_missing(registry: RunningRegistry, hello: Path, tmp_path: Path, name: str) -> None:
    """It is missed before a build, or anything else."""
    mark = registry.mark()
    asked = ("--image", name_of(registry), "--platform", "linux/amd64", *VERSION, "--load", name)

    done = regkit("publish", hello, *asked, env={"PATH": str(tmp_path)})

    assert done.returncode == 2
    assert f"isn't on PATH, and --load {name} needs it" in done.stderr
    assert "hint: install" in done.stderr
    assert registry.writes(mark) == []


def test_an_engine_that_doesnt_run(registry: RunningRegistry, hello: Path, tmp_path: Path) -> None:
    asked = ("--image", name_of(registry), "--platform", "linux/amd64", *VERSION, "--load", "containerd")

    done = regkit("publish", hello, *asked, env={"CONTAINERD_ADDRESS": str(tmp_path / "none")})

    assert done.returncode == 75
    assert "containerd can't be used" in done.stderr


def test_an_image_for_no_such_machine(registry: RunningRegistry, tmp_path: Path) -> None:
    make_layout(tmp_path / "layout", ("linux/s390x",))
    asked = ("--image", name_of(registry), *VERSION, "--load", "podman")

    done = regkit("publish", "--from", str(tmp_path / "layout"), *asked)

    assert done.returncode == 2
    assert "hint: choose one with --load-platform: there are linux/s390x" in done.stderr
    assert registry.writes() == []


def test_an_engine_that_takes_nothing_stops_the_publish(registry: RunningRegistry, hello: Path, builder: str) -> None:
    """Its own reason is told, and nothing was pushed: a namespace of that name can't be."""
    asked = ("--image", name_of(registry), "--platform", "linux/amd64", *VERSION, "--load", "containerd")

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root, containerd(Path(root, "e")) as engine:
        env = {**engine.env, "BUILDKIT_HOST": builder, "CONTAINERD_NAMESPACE": "not a name"}
        done = regkit("publish", hello, *asked, env=env)

    assert done.returncode == 1
    assert "containerd didn't take the image for linux/amd64: " in done.stderr
    assert "not a name" in done.stderr
    assert registry.writes() == []
