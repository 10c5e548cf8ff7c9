from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.directory import DirectoryStore
from regkit.devregistry.store import MemoryStore, Store


@pytest.fixture(params=["memory", "directory"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DevRegistry]:
    """Give a registry with nothing in it, over each of the two stores."""
    store: Store = MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "registry")
    with DevRegistry(store) as chosen:
        yield chosen
