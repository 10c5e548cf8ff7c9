"""Indexes beside the peers that make them: crane, regctl, oras; read by all of those and by skopeo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from regkit.oci import mediatype
from tests.conftest import KINDS
from tests.ops.support import attested_layout
from tests.support.command import output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry
from tests.support.releases import validate

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")


@dataclass(frozen=True)
class Parts:
    """A registry with a bare image and an attested per-platform index for each platform, all in `parts`."""

    registry: RunningRegistry
    images: dict[str, str]
    """The digests of the bare images."""

    @property
    def repository(self) -> str:
        return f"{self.registry.host}/parts"

    def image(self, platform: str) -> str:
        return f"{self.repository}@{self.images[platform]}"

    def attested(self, platform: str) -> str:
        return f"{self.repository}:attested-{platform.replace('/', '-')}"

    def regctl(self, *arguments: str) -> str:
        return output_of(peer("regctl", "--host", f"reg={self.registry.host},tls=disabled", *arguments))


@pytest.fixture(scope="module", params=["distribution", "debian"])
def parts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    root = tmp_path_factory.mktemp("parts")
    index = make_layout(root / "layout", PLATFORMS)
    with KINDS[request.param](root / "registry") as registry:
        found = Parts(registry, {str(child.platform): child.digest for child in index.manifests})
        output_of(regkit("copy", f"oci:{root / 'layout'}", f"{found.repository}:all"))
        for number, platform in enumerate(PLATFORMS):
            attested_layout(root / str(number), platform)
            output_of(regkit("copy", f"oci:{root / str(number)}", found.attested(platform)))
        yield found


def index_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output_of(peer("crane", "manifest", name)))
    return found


def platforms_of(index: dict[str, Any]) -> list[str]:
    keys = ("os", "architecture", "variant")
    found = [entry.get("platform", {}) for entry in index["manifests"]]
    return ["/".join(p[key] for key in keys if key in p) for p in found if p.get("os") != "unknown"]


# What peers made, extended by regkit


@pytest.mark.parametrize("producer", ["crane", "regctl", "oras"])
def test_an_index_that_a_peer_made_is_extended(parts: Parts, producer: str) -> None:
    """Each makes an index over one image; regkit appends one, annotates, and removes the first, and it stays whole."""
    name = f"{parts.repository}:by-{producer}"
    first, second = parts.image("linux/amd64"), parts.image("linux/arm/v7")
    if producer == "crane":
        output_of(peer("crane", "index", "append", "-m", first, "-t", name))
    elif producer == "regctl":
        parts.regctl("index", "create", name, "--ref", first, "--annotation", "from=regctl")
    else:
        output_of(peer("oras", "manifest", "index", "create", "--plain-http", name, parts.images["linux/amd64"]))

    output_of(regkit("index", "append", name, second))
    output_of(regkit("index", "annotate", name, "--annotation", "a=b"))

    index = index_of(name)
    assert platforms_of(index) == ["linux/amd64", "linux/arm/v7"]
    assert index["annotations"] == {"a": "b", **({"from": "regctl"} if producer == "regctl" else {})}
    output_of(peer("crane", "validate", "--remote", name))
    output_of(regkit("index", "remove", name, "--platform", "amd64"))
    assert platforms_of(index_of(name)) == ["linux/arm/v7"]
    validate(name, ["linux/arm/v7"])


# What regkit made, read and extended by peers


def test_peers_read_and_copy_what_regkit_made(parts: Parts, tmp_path: Path) -> None:
    """Crane validates it, skopeo copies all of it, regctl and oras fetch its very bytes."""
    name = f"{parts.registry.host}/made:1"
    output_of(regkit("index", "create", name, *map(parts.image, PLATFORMS), "--annotation", "a=b"))
    raw = output_of(peer("crane", "manifest", name))

    output_of(peer("crane", "validate", "--remote", name))
    assert parts.regctl("manifest", "get", "--format", "raw-body", name) == raw
    assert output_of(peer("oras", "manifest", "fetch", "--plain-http", name)) == raw
    copied = f"oci:{tmp_path / 'copied'}:1"
    output_of(peer("skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{name}", copied))
    assert output_of(peer("skopeo", "inspect", "--raw", copied)) == raw


def test_a_manifest_list_of_dockers_images(parts: Parts, tmp_path: Path) -> None:
    """Skopeo turns images into Docker's; the list over them is Docker's, and every client takes it."""
    repository = f"{parts.registry.host}/docker"
    for platform in PLATFORMS[:2]:
        arch = platform.partition("/")[2]
        options = ("--format", "v2s2", "--src-tls-verify=false", "--dest-tls-verify=false")
        output_of(
            peer("skopeo", "copy", *options, f"docker://{parts.image(platform)}", f"docker://{repository}:{arch}")
        )
    name = f"{repository}:1"

    output_of(regkit("index", "create", name, f"{repository}:amd64", f"{repository}:arm64"))

    assert index_of(name)["mediaType"] == mediatype.DOCKER_INDEX
    assert platforms_of(index_of(name)) == list(PLATFORMS[:2])
    output_of(peer("crane", "validate", "--remote", name))
    output_of(
        peer("skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{name}", f"oci:{tmp_path / 'copied'}:1")
    )


@pytest.mark.parametrize("peer_name", ["crane", "regctl", "oras"])
def test_a_peer_extends_what_regkit_made(parts: Parts, peer_name: str) -> None:
    """The other way round: each adds an image to regkit's index."""
    name = f"{parts.repository}:onward-{peer_name}"
    output_of(regkit("index", "create", name, parts.image("linux/amd64"), "--annotation", "a=b"))
    added = parts.image("linux/arm64")

    if peer_name == "crane":
        output_of(peer("crane", "index", "append", name, "-m", added, "-t", name))
    elif peer_name == "regctl":
        parts.regctl("index", "add", name, "--ref", added)
    else:
        digest = parts.images["linux/arm64"]
        output_of(peer("oras", "manifest", "index", "update", "--plain-http", name, "--add", digest))

    assert platforms_of(index_of(name)) == ["linux/amd64", "linux/arm64"]


# Side by side


def test_regctl_nests_an_index_where_regkit_opens_it(parts: Parts) -> None:
    """Given what BuildKit exports per platform, regctl lists the indexes; regkit their images and attestations."""
    sources = [parts.attested(platform) for platform in PLATFORMS[:2]]
    by_regctl, by_regkit = f"{parts.repository}:regctl", f"{parts.repository}:regkit"

    parts.regctl("index", "create", by_regctl, "--ref", sources[0], "--ref", sources[1])
    output_of(regkit("index", "create", by_regkit, *sources))

    nested, flat = index_of(by_regctl), index_of(by_regkit)
    assert {entry["mediaType"] for entry in nested["manifests"]} == {mediatype.OCI_INDEX}
    assert platforms_of(flat) == list(PLATFORMS[:2])
    assert flat["manifests"] == [entry for source in sources for entry in index_of(source)["manifests"]]
    mended = f"{parts.repository}:mended"
    output_of(regkit("index", "create", mended, by_regctl))
    assert index_of(mended)["manifests"] == flat["manifests"]


def test_oras_nests_where_regkit_opens(parts: Parts) -> None:
    """So does `oras manifest index create`."""
    source = parts.attested("linux/amd64")
    by_oras, by_regkit = f"{parts.repository}:oras", f"{parts.repository}:regkit-oras"

    output_of(peer("oras", "manifest", "index", "create", "--plain-http", by_oras, source.rpartition(":")[2]))
    output_of(regkit("index", "create", by_regkit, source))

    assert [entry["mediaType"] for entry in index_of(by_oras)["manifests"]] == [mediatype.OCI_INDEX]
    assert index_of(by_regkit)["manifests"] == index_of(source)["manifests"]


def test_crane_filters_attestations_away_where_regkit_keeps_them(parts: Parts) -> None:
    """`crane index filter` for a platform loses what attests it; `copy --platform` and `index remove` keep it."""
    whole = f"{parts.repository}:whole"
    output_of(regkit("index", "create", whole, *map(parts.attested, PLATFORMS)))
    by_crane, by_copy, by_remove = (f"{parts.repository}:only-{how}" for how in ("crane", "copy", "remove"))

    output_of(peer("crane", "index", "filter", whole, "--platform", "linux/amd64", "-t", by_crane))
    output_of(regkit("copy", "--platform", "linux/amd64", whole, by_copy))
    output_of(regkit("copy", whole, by_remove))
    output_of(regkit("index", "remove", by_remove, "--platform", "linux/arm64,linux/arm/v7"))

    assert len(index_of(by_crane)["manifests"]) == 1
    assert index_of(by_copy) == index_of(by_remove)
    assert index_of(by_copy)["manifests"] == index_of(parts.attested("linux/amd64"))["manifests"]


def test_crane_lists_a_platform_twice_where_regkit_refuses_or_replaces(parts: Parts, tmp_path: Path) -> None:
    """Two images for one platform: the second would never be pulled."""
    newer = make_layout(tmp_path / "newer", ["linux/amd64"], seed=1).manifests[0].digest
    image = f"{parts.repository}@{newer}"
    output_of(regkit("copy", f"oci:{tmp_path / 'newer'}", f"{parts.repository}:newer"))
    base = f"{parts.repository}:base"
    output_of(regkit("index", "create", base, parts.image("linux/amd64"), parts.image("linux/arm64")))
    by_crane = f"{parts.repository}:twice"

    output_of(peer("crane", "index", "append", base, "-m", image, "-t", by_crane))
    refused = regkit("index", "append", base, image)
    output_of(regkit("index", "append", "--replace", base, image))

    assert platforms_of(index_of(by_crane)) == ["linux/amd64", "linux/arm64", "linux/amd64"]
    assert refused.returncode == 2
    assert "two images for linux/amd64" in refused.stderr
    assert [entry["digest"] for entry in index_of(base)["manifests"]] == [newer, parts.images["linux/arm64"]]


def test_regctl_annotates_all_alike_where_regkit_tells_platforms_apart(parts: Parts) -> None:
    """An annotation for one platform's descriptor finds that one; regctl has one value for all of a call."""
    refs = [parts.image(platform) for platform in PLATFORMS[:2]]
    by_regctl, by_regkit = f"{parts.repository}:said-regctl", f"{parts.repository}:said-regkit"

    parts.regctl("index", "create", by_regctl, "--ref", refs[0], "--ref", refs[1], "--desc-annotation", "a=b")
    annotation = ("--annotation", "manifest-descriptor[linux/arm64/v8]:a=b")
    output_of(regkit("index", "create", by_regkit, *refs, *annotation))

    said = [[e.get("annotations") for e in index_of(name)["manifests"]] for name in (by_regctl, by_regkit)]
    assert said == [[{"a": "b"}, {"a": "b"}], [None, {"a": "b"}]]
