"""Files that a stranger may have put where we read: pipes, devices, links and endless ones. Nothing hangs or leaks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regkit.build.dockerfile import MAX_SIZE as DOCKERFILE
from regkit.oci.manifest import MAX_SIZE as MANIFEST
from tests.support.command import regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, embedded

CANARY = "canary-7d1e"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give a directory with a layout, a context and a record; beside it lies what isn't for others."""
    (tmp_path / "secret").write_text(f'{{"auths": {{"a.test": {{"auth": "{CANARY}"}}}}}}\n')
    root = tmp_path / "place"
    make_layout(root / "layout")
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "records").mkdir()
    (root / "records" / "one.json").write_text("{}")
    (root / "archive.tar").write_bytes(b"")
    return root


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    with embedded(tmp_path / "registry") as running:
        yield running


def pipe(path: Path) -> None:
    os.mkfifo(path)


def secret(path: Path) -> None:
    path.symlink_to(path.parents[len(path.parts) - path.parts.index("place") - 1] / "secret")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(max(DOCKERFILE, MANIFEST) + 1)


COPY = ("copy", "ocidir://layout", "{host}/a:1")
PLACES = {
    "layout/index.json": COPY,
    "layout/oci-layout": COPY,
    "archive.tar": ("copy", "oci-archive:archive.tar", "{host}/a:1"),
    "Dockerfile": ("plan", ".", "--image", "{host}/a", "--version", "1.0.0", "--platform", "linux/amd64"),
    ".dockerignore": ("plan", ".", "--image", "{host}/a", "--version", "1.0.0", "--platform", "linux/amd64"),
    "records/one.json": ("merge", "--image", "{host}/a", "--version", "1.0.0", "--digest-dir", "records"),
}


@pytest.mark.parametrize("plant", [pipe, secret, endless, large])
@pytest.mark.parametrize("path", PLACES)
def test_what_is_no_such_file(place: Path, registry: RunningRegistry, path: str, plant: Callable[[Path], None]) -> None:
    """It ends at once with a sentence, says nothing of what a link leads to, and sends nothing of it."""
    (place / path).unlink(missing_ok=True)
    plant(place / path)

    done = regkit(*(word.format(host=registry.host) for word in PLACES[path]), cwd=place)

    harmless = path in ("Dockerfile", ".dockerignore") and plant is secret  # it is read, and says nothing
    assert done.returncode == (0 if harmless else 2), done.stderr
    assert harmless or "\nregkit: error: " in f"\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert registry.writes() == []


@pytest.mark.parametrize("plant", [pipe, secret, endless])
def test_a_blob_that_is_none(place: Path, registry: RunningRegistry, plant: Callable[[Path], None]) -> None:
    """Under a digest's name lies no file: it isn't there, and nothing of the image is tagged."""
    for blob in (place / "layout" / "blobs" / "sha256").iterdir():
        if not blob.read_bytes().startswith(b"{"):
            blob.unlink()
            plant(blob)

    done = regkit("copy", "ocidir://layout", f"{registry.host}/a:1", cwd=place)

    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
    assert registry.tags("a") == []
    sent = [path for path in registry.root.rglob("*") if path.is_file()]
    assert not any(CANARY.encode() in path.read_bytes() for path in sent)
