"""`regkit diff` as users run it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.oci.manifest import assemble_index
from regkit.oci.platform import Platform
from regkit.protocol.flow import Bytes
from tests.ops.support import add_attestation, add_image, add_index, new_layout
from tests.ops.test_diff import built
from tests.support.command import fails, output_of, regkit


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Give two releases: an image that changed, one that stayed, one that went and one that came."""
    with new_layout(tmp_path) as layout:
        stays, goes, comes = (add_image(layout, p) for p in ("linux/arm64", "linux/s390x", "linux/riscv64"))
        old = built(layout, {"config": {"Env": ["A=1"], "Cmd": ["x"]}}, ["base", "old layer"], {"k": "\x1b[2J"})
        new = built(layout, {"config": {"Env": ["A=2"], "User": "1"}}, ["base", "new"])
        add_index(layout, [old, stays, goes, add_attestation(layout, old)], "1")
        stays = replace(stays, platform=Platform("linux", "arm64", "v8"))
        index = assemble_index([new, stays, comes], {"v": "2"})
        layout.push(index.descriptor, Bytes(index.raw), "2")
    return tmp_path


def test_text(layout: Path) -> None:
    """A line for each difference, beneath the image that it belongs to; nothing steers the terminal."""
    one, two = f"ocidir://{layout}:1", f"ocidir://{layout}:2"

    lines = output_of(regkit("diff", one, two)).splitlines()

    assert [lines[0].split(" sha256:")[0], lines[1].split(" sha256:")[0]] == [f"--- {one}", f"+++ {two}"]
    assert lines[2:4] == ["+ annotation v: 2", "~ attestations: 1 -> 0, not the same"]
    assert lines[4].startswith("~ linux/amd64  ")
    assert " -> " in lines[4]
    assert lines[5] == "    = 1 layer shared  4 B"
    assert [line.split()[:2] for line in lines[6:8]] == [["-", "layer"], ["+", "layer"]]
    assert lines[8:12] == [
        "    ~ Env.A: 1 -> 2",
        '    - Cmd: ["x"]',
        "    + User: 1",
        "    - annotation k:  [2J",
    ]
    assert [line.split("  ")[0] for line in lines[12:]] == ["= linux/arm64", "- linux/s390x", "+ linux/riscv64"]


def test_exit_codes(layout: Path) -> None:
    """--detailed-exitcode makes a difference a 3; what is equal is a 0, and one line."""
    one, two = f"ocidir://{layout}:1", f"ocidir://{layout}:2"

    assert regkit("diff", one, two).returncode == 0
    assert regkit("diff", one, two, "--detailed-exitcode").returncode == 3
    assert output_of(regkit("diff", one, one, "--detailed-exitcode")).startswith(f"equal: {one} and {one} are both sha")
    same = regkit("diff", one, two, "--detailed-exitcode", "--platform", "arm64")
    assert same.returncode == 0
    assert "has no image for linux/s390x" in fails("diff", one, two, "--platform", "s390x", code=5)
    assert "has no tag '3'" in fails("diff", one, f"ocidir://{layout}:3", code=5)


def test_an_image_beside_an_index(layout: Path) -> None:
    """That they are of different kinds is a line too."""
    name = f"ocidir://{layout}:2"
    digest = output_of(regkit("resolve", name, "--platform", "arm64")).strip()

    assert "\n~ mediaType: " in output_of(regkit("diff", name, digest))


def test_json(layout: Path) -> None:
    """One document with all of it."""
    one, two = f"ocidir://{layout}:1", f"ocidir://{layout}:2"
    done = regkit("diff", one, two, "--format", "json", "--detailed-exitcode")
    document = json.loads(done.stdout)

    assert done.returncode == 3
    assert (document["schema"], document["equal"], document["before"]["name"]) == (1, False, one)
    assert document["annotations"] == [{"key": "v", "before": None, "after": "2"}]
    amd64, arm64, s390x, riscv64 = document["images"]
    assert [len(amd64["layers"][key]) for key in ("shared", "removed", "added")] == [1, 1, 1]
    assert (arm64["equal"], s390x["after"], riscv64["before"]) == (True, None, None)
