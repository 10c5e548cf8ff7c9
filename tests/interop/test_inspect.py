"""`regkit inspect` beside crane, regctl and skopeo; and what peers packed, published by regkit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import KINDS
from tests.support.command import output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry
from tests.support.releases import publish_layout, tags_of, validate

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v6")


@pytest.fixture(scope="module", params=["distribution", "debian"])
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the name of a release that regctl pushed."""
    root = tmp_path_factory.mktemp("inspect")
    make_layout(root / "layout", PLATFORMS, layers=2)
    with KINDS[request.param](root / "registry") as registry:
        name = f"{registry.host}/team/hello:1"
        plain = ("--host", f"reg={registry.host},tls=disabled")
        output_of(peer("regctl", *plain, "image", "copy", f"ocidir://{root / 'layout'}:built", name))
        yield name


def manifest_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output_of(peer("crane", "manifest", name)))
    return found


def children_of(name: str) -> dict[str, dict[str, Any]]:
    """Give each platform's manifest as crane reads it, by digest, in the index's order."""
    repository = name.rpartition(":")[0]
    digests = [child["digest"] for child in manifest_of(name)["manifests"]]
    return {digest: manifest_of(f"{repository}@{digest}") for digest in digests}


def test_json(name: str) -> None:
    """Digest, platforms, layers and sizes are those that crane's manifests have."""
    shown = json.loads(output_of(regkit("inspect", "--format", "json", name)))

    index, children = manifest_of(name), children_of(name)
    assert shown["digest"] == output_of(peer("crane", "digest", name)).strip()
    assert shown["mediaType"] == index["mediaType"]
    keys = ("mediaType", "digest", "size", "platform")
    assert [{key: each[key] for key in keys} for each in shown["manifests"]] == index["manifests"]
    assert [each["layers"] for each in shown["manifests"]] == [child["layers"] for child in children.values()]
    for each, child in zip(shown["manifests"], children.values(), strict=True):
        blobs = [child["config"], *child["layers"]]
        assert each["totalSize"] == each["size"] + sum(blob["size"] for blob in blobs)


def test_table(name: str) -> None:
    """The platforms and digests are those of regctl's table, in its order."""
    shown = output_of(regkit("inspect", name))

    plain = ("--host", f"reg={name.partition('/')[0]},tls=disabled")
    theirs = output_of(peer("regctl", *plain, "manifest", "get", name)).splitlines()
    values = {
        key: [line.split()[1] for line in theirs if line.startswith(f"  {key}:")] for key in ("Digest", "Platform")
    }
    rows = [tuple(line.split()[:2]) for line in shown.splitlines() if "/" in line.split(" ")[0]]
    assert rows == list(zip(values["Platform"], values["Digest"], strict=True))


def test_tree_and_manifest_tools_format(name: str) -> None:
    """Every image and layer that crane lists stands there, in order: shortened in the tree, whole in the other."""
    blobs = [
        digest
        for image, child in children_of(name).items()
        for digest in (image, *(x["digest"] for x in child["layers"]))
    ]

    tree = output_of(regkit("inspect", "--format", "tree", name))
    flat = output_of(regkit("inspect", "--format", "manifest-tool", name))

    short = [blob.partition(":")[2][:12] for blob in blobs]
    assert [word for word in tree.split() if word in short] == short
    assert [word for word in flat.split() if word in blobs] == blobs


@pytest.mark.parametrize("platform", PLATFORMS)
def test_one_platform(name: str, platform: str) -> None:
    """Its configuration is what crane, regctl and skopeo read, its manifest what crane reads."""
    config = output_of(regkit("inspect", "--config", "--platform", platform, name))
    raw = output_of(regkit("inspect", "--format", "raw", "--platform", platform, name))

    plain = ("--host", f"reg={name.partition('/')[0]},tls=disabled")
    assert config == output_of(peer("crane", "config", "--platform", platform, name))
    assert json.loads(config) == json.loads(
        output_of(peer("regctl", *plain, "image", "inspect", "--platform", platform, name))
    )
    _, arch, *variant = platform.split("/")
    override = ("--override-arch", arch, *(word for each in variant for word in ("--override-variant", each)))
    read = ("inspect", "--config", "--raw", "--tls-verify=false", f"docker://{name}")
    assert json.loads(config) == json.loads(output_of(peer("skopeo", *override, *read)))
    assert raw == output_of(peer("crane", "manifest", "--platform", platform, name))


@pytest.mark.parametrize("registry", ["distribution", "debian"], indirect=True)
@pytest.mark.parametrize("tool", ["skopeo", "regctl", "oras", "crane"])
def test_a_layout_that_a_peer_wrote_is_published(registry: RunningRegistry, tool: str, tmp_path: Path) -> None:
    """What a peer pulled is published with the digest that it had, under all tags of the version, and is whole."""
    index = make_layout(tmp_path / "layout", PLATFORMS[:2])
    source, out = f"{registry.host}/source:1", tmp_path / "out"
    output_of(regkit("copy", f"oci:{tmp_path / 'layout'}:built", source))
    commands = {
        "skopeo": ("skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{source}", f"oci:{out}:1"),
        "regctl": (
            "regctl",
            "--host",
            f"reg={registry.host},tls=disabled",
            "image",
            "copy",
            source,
            f"ocidir://{out}:1",
        ),
        "oras": ("oras", "cp", "--from-plain-http", source, "--to-oci-layout", f"{out}:1"),
        "crane": ("crane", "pull", "--format=oci", source, out),
    }
    output_of(peer(*commands[tool]))

    done = publish_layout(registry, out, "--version", "v1.2.3")

    name, _, digest = output_of(done).strip().partition("@")
    assert tags_of(registry) == dict.fromkeys(("1", "1.2", "1.2.3", "latest"), digest)
    found = manifest_of(f"{name}@{digest}")
    assert [each["digest"] for each in found["manifests"]] == [child.digest for child in index.manifests]
    validate(f"{name}:1.2.3", PLATFORMS[:2])
