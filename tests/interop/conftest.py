"""A release of the hello image on each registry, for tests that only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import KINDS
from tests.support.command import git, output_of
from tests.support.releases import REPOSITORY, Release, publish


@pytest.fixture(scope="session", params=list(KINDS))
def release(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, builder: str, hello_origin: Path
) -> Iterator[Release]:
    """Give v1.2.3 as published for all platforms; whoever takes it leaves it as it is."""
    with KINDS[request.param](tmp_path_factory.mktemp(request.param)) as registry:
        done = publish(registry, hello_origin, builder=builder)
        yield Release(
            registry, f"{registry.host}/{REPOSITORY}", git(hello_origin, "rev-parse", "HEAD"), output_of(done)
        )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give an empty home, whose path nobody else has in an argument, in an environment or as a mount."""
    path = tmp_path / "home"
    path.mkdir()
    return path
