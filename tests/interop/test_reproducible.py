"""The same sources and the same SOURCE_DATE_EPOCH give the same digests, on builders that share nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import output_of, peer, regkit
from tests.support.registries import RunningRegistry

EPOCH = 1_000_000_000
ASKED = ("--platform", "linux/amd64,linux/arm64", "--version", "v1.2.3", "--commit", "0" * 40)

pytestmark = pytest.mark.parametrize("registry", ["embedded"], indirect=True)


def built(registry: RunningRegistry, hello: Path, root: Path, number: int, *options: str, epoch: str = "") -> str:
    """Publish a copy of its own, whose files are of another time, by a builder of its own; give the repository."""
    home, context = root / f"home{number}", root / f"context{number}"
    home.mkdir()
    shutil.copytree(hello, context, ignore=shutil.ignore_patterns(".git"))
    for path in context.rglob("*"):
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    name = f"{registry.host}/copy{number}"
    env = {"SOURCE_DATE_EPOCH": epoch} if epoch else {}
    output_of(regkit("publish", context, "--image", name, *ASKED, *options, env=env, home=home))
    assert (home / ".cache" / "regkit" / "buildkitd").is_dir()
    return name


def index_at(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output_of(peer("crane", "manifest", f"{name}:1.2.3")))
    return found


def images(name: str) -> list[str]:
    return [child["digest"] for child in index_at(name)["manifests"] if child["platform"]["os"] != "unknown"]


def test_two_builders_make_the_same_release(registry: RunningRegistry, hello: Path, tmp_path: Path) -> None:
    """Images and index are the same to the byte; attestations tell when they were made, so they aren't."""
    one = built(registry, hello, tmp_path, 1, "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}")
    two = built(registry, hello, tmp_path, 2, "--attest", "type=provenance", epoch=str(EPOCH))

    assert images(one) == images(two)
    alone = {**index_at(two), "manifests": [c for c in index_at(two)["manifests"] if c["digest"] in images(two)]}
    said = {key: value for key, value in index_at(one)["annotations"].items() if "source.digest" not in key}
    assert alone["manifests"] == index_at(one)["manifests"]
    assert said == {key: value for key, value in alone["annotations"].items() if "source.digest" not in key}
    assert len(index_at(two)["manifests"]) == 2 * len(images(two))


def test_without_an_epoch_they_differ(registry: RunningRegistry, hello: Path, tmp_path: Path) -> None:
    """The times of files and of the build are in the images."""
    one, two = (built(registry, hello, tmp_path, number) for number in (1, 2))

    assert set(images(one)).isdisjoint(images(two))


def test_an_epoch_that_is_none(registry: RunningRegistry, hello: Path) -> None:
    done = regkit("publish", hello, "--image", f"{registry.host}/x", *ASKED, env={"SOURCE_DATE_EPOCH": "yesterday"})

    assert done.returncode == 2
    assert "SOURCE_DATE_EPOCH is 'yesterday'" in done.stderr
