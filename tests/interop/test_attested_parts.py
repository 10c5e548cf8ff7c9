"""Attestations of images that are built apart stay with them: by digest, under platform tags, in layouts, merged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import output_of, peer, regkit
from tests.support.registries import RunningRegistry

PLATFORMS = ("linux/amd64", "linux/arm64/v8")
COMMIT = "8f3c2b1a9d7e6f5c4b3a29181716151413121110"
VERSION = ("--version", "v1.2.3")
ATTEST = ("--attest", "type=provenance,mode=max")
OWNER = "vnd.docker.reference.digest"


def index_of(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(output_of(peer("crane", "manifest", name)))["manifests"]
    return found


def assert_attested(children: list[dict[str, Any]], count: int) -> None:
    """Each image is followed by an attestation of its own."""
    assert len(children) == 2 * count
    for image, attestation in zip(children[::2], children[1::2], strict=True):
        assert attestation["platform"] == {"architecture": "unknown", "os": "unknown"}
        assert attestation["annotations"][OWNER] == image["digest"]


@pytest.mark.parametrize("push", ["--push-by-digest", "--push"])
def test_parts_and_their_release(
    registry: RunningRegistry, hello: Path, builder: str, tmp_path: Path, push: str
) -> None:
    """What names a part is an index over the image and its attestation; a release of the parts lists both."""
    image = f"{registry.host}/parts"
    parts = []
    for platform in PLATFORMS:
        command = ("build", hello, "--image", image, "--platform", platform, "--commit", COMMIT, push, *ATTEST)
        done = regkit(*command, "--digest-dir", tmp_path / "records", env={"BUILDKIT_HOST": builder})
        parts.append(output_of(done).strip())
        assert_attested(index_of(parts[-1]), 1)

    merged = output_of(regkit("merge", "--image", image, *VERSION, "--digest-dir", tmp_path / "records")).strip()
    named = output_of(regkit("merge", "--image", f"{image}-2", *VERSION, "--commit", COMMIT, *parts)).strip()

    assert index_of(merged) == [child for part in parts for child in index_of(part)]
    assert_attested(index_of(merged), len(PLATFORMS))
    assert merged.partition("@")[2] == named.partition("@")[2]
    for name in (merged, named):
        output_of(regkit("verify", name, "--blobs", "--platforms", ",".join(PLATFORMS)))

    stripped = ("merge", "--image", f"{image}-3", *VERSION, "--attestations", "strip", *parts)
    without = output_of(regkit(*stripped)).strip()
    assert index_of(without) == index_of(merged)[::2]


def test_layout(hello: Path, builder: str, tmp_path: Path) -> None:
    """A layout's index lists both, and nothing in it is an index of its own."""
    place = f"ocidir://{tmp_path}/out"

    done = regkit(
        *("build", hello, "--platform", ",".join(PLATFORMS), "--output", place, *ATTEST),
        env={"BUILDKIT_HOST": builder},
    )

    output_of(done)
    children = json.loads(output_of(regkit("inspect", place, "--format", "raw")))["manifests"]
    assert_attested(children, len(PLATFORMS))
    output_of(regkit("verify", place, "--blobs"))
