"""What most tests stand on: one warm builder, the three registries, and the demo's build context under git."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import settings

from regkit.build.builder import throwaway_builder
from regkit.events import ignore
from tests.ops.support import Served, serving
from tests.support.command import clean_environment, clone, commit, git
from tests.support.registries import RunningRegistry, debian, distribution, embedded

settings.register_profile("regkit", deadline=None)  # a busy machine is no wrong answer
settings.load_profile("regkit")

# Who runs in the background has Ctrl-C ignored, and so would all that is started here.
signal.signal(signal.SIGINT, signal.default_int_handler)

HELLO = Path(__file__).parent.parent / "testdata" / "hello"
KINDS: dict[str, Callable[[Path], AbstractContextManager[RunningRegistry]]] = {
    "distribution": distribution,
    "debian": debian,
    "embedded": embedded,
}


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of one real buildkitd, for BUILDKIT_HOST; what a test has built is warm for the next."""
    root = tmp_path_factory.mktemp("builder")
    with throwaway_builder(root / "cache", ignore, env=clean_environment(root)) as address:
        yield address.url


@pytest.fixture(params=list(KINDS))
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningRegistry]:
    """Give an empty registry of each kind; a test narrows that with `parametrize(…, indirect=True)`."""
    with KINDS[request.param](tmp_path / "registry") as running:
        yield running


@pytest.fixture(scope="session")
def hello_origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a git repository of testdata/hello, its programs compiled, with the tag v1.2.3 on its only commit."""
    subprocess.run([HELLO / "build.sh"], check=True, capture_output=True)
    origin = tmp_path_factory.mktemp("origin") / "hello"
    shutil.copytree(HELLO, origin, ignore=shutil.ignore_patterns(".built", ".fresh.*"))
    git(origin, "init", "--initial-branch=main")
    commit(origin, "v1.2.3")
    return origin


@pytest.fixture
def hello(hello_origin: Path, tmp_path: Path) -> Path:
    """Give a clone of that repository, to be changed at will."""
    return clone(hello_origin, tmp_path / "hello")


@pytest.fixture
def served() -> Iterator[Served]:
    """Give an empty registry in this process, on a socket; a test file may have one of its own that isn't empty."""
    with serving() as served:
        yield served
