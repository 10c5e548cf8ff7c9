from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import output_of, regkit
from tests.support.layouts import make_layout
from tests.support.registries import embedded


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Give a registry's directory in which a tag has moved from one image to another."""
    with embedded(tmp_path) as registry:
        for seed in (0, 1):
            make_layout(tmp_path / f"layout{seed}", seed=seed)
            output_of(regkit("copy", f"ocidir://{tmp_path / f'layout{seed}'}:built", f"{registry.host}/a/b:1"))
        running = regkit("registry", "gc", tmp_path / "content", "--untagged", "--yes")
        assert (running.returncode, running.stdout) == (2, "")
        assert "another registry serves" in running.stderr
    return tmp_path / "content"


def blobs(root: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in root.rglob("blobs/*/*")}


def test_gc_says_what_it_removes_and_how_much(directory: Path) -> None:
    """A dry run names each file and the sum, without a confirmation nothing goes, and with one just that goes."""
    before = blobs(directory)
    options = ("registry", "gc", "--dir", directory, "--untagged")

    dry = json.loads(output_of(regkit(*options, "--dry-run", "--format", "json")))
    unsure = regkit(*options)

    assert (unsure.returncode, unsure.stdout) == (2, "")
    assert "--yes" in unsure.stderr
    assert blobs(directory) == before
    done = output_of(regkit(*options, "--yes"))
    gone = {name: size for name, size in before.items() if name not in blobs(directory)}
    assert {file["digest"].partition(":")[2]: file["size"] for file in dry["files"]} == gone
    assert {file["kind"] for file in dry["files"]} == {"manifest", "blob"}
    assert {file["repository"] for file in dry["files"]} == {"a/b"}
    assert (dry["freed"], dry["removed"]) == (sum(gone.values()), False)
    assert [line.partition("@sha256:")[2].split()[0] for line in done.splitlines()[:-1]] == [
        file["digest"].partition(":")[2] for file in dry["files"]
    ]
    assert done.splitlines()[-1].endswith(f"{len(gone)} files")


def test_gc_keeps_what_has_no_tag_unless_asked(directory: Path) -> None:
    """By default an image whose tag moved on stays, and with nothing to remove nobody is asked."""
    before = blobs(directory)

    assert output_of(regkit("registry", "gc", directory)) == "freed 0 B, 0 files\n"
    assert blobs(directory) == before


@pytest.mark.parametrize("arguments", [(), ("one", "--dir", "other"), ("elsewhere",)])
def test_gc_of_no_registry(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """No directory, two of them, and one that no registry served are wrong usage; none is made."""
    done = regkit("registry", "gc", *arguments, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []
