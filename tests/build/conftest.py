"""One real buildkitd for the tests of this directory, and contexts with a static busybox to build from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regkit.build.address import Address
from regkit.build.builder import throwaway_builder
from regkit.build.spec import BuildSpec, build_spec
from regkit.events import Event, ignore
from regkit.oci.platform import parse_platforms

BUSYBOX = Path("/bin/busybox")

MakeContext = Callable[..., Path]


@pytest.fixture(scope="session")
def env() -> dict[str, str]:
    """Give the environment that the tools are found in."""
    return {name: value for name, value in os.environ.items() if name not in ("BUILDKIT_HOST", "SOURCE_DATE_EPOCH")}


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]) -> Iterator[Address]:
    """Give the address of a throw-away builder."""
    with throwaway_builder(tmp_path_factory.mktemp("cache"), ignore, env=env) as address:
        yield address


@pytest.fixture
def events() -> list[Event]:
    """Give a list for what is reported: hand over its `append`."""
    return []


@pytest.fixture
def context(tmp_path: Path) -> MakeContext:
    """Make a build context from `name=text` files; `busybox=True` adds the program."""

    def make(dockerfile: str | None, /, *, busybox: bool = False, **files: str) -> Path:
        directory = tmp_path / "context"
        directory.mkdir()
        if dockerfile is not None:
            (directory / "Dockerfile").write_text(dockerfile)
        for name, text in files.items():
            (directory / name).write_text(text)
        if busybox:
            shutil.copy(BUSYBOX, directory / "busybox")
        return directory

    return make


def spec_of(context: Path, platforms: str = "linux/amd64", file: Path | None = None) -> BuildSpec:
    """Build this, for these platforms."""
    return build_spec(context, file, parse_platforms([platforms]))
