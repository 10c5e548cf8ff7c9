"""What peers get wrong with indexes and platforms, and regkit right: both on the same input, on real registries.

More of it stands beside its verb: nested indexes and lost attestations in test_index and test_copy, tags that go along
with another in test_tags, referrers in test_referrers.
"""

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

PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v6")


@dataclass(frozen=True)
class Pair:
    """A registry with an index at the tag `1` of a repository, and another registry."""

    registry: RunningRegistry
    other: RunningRegistry
    root: Path

    @property
    def repository(self) -> str:
        return f"{self.registry.host}/team/app"

    @property
    def name(self) -> str:
        return f"{self.repository}:1"

    @property
    def regctl(self) -> tuple[str, ...]:
        hosts = (f"reg={registry.host},tls=disabled" for registry in (self.registry, self.other))
        return ("regctl", *(word for host in hosts for word in ("--host", host)))

    def image(self, platform: str) -> str:
        return output_of(regkit("resolve", "--platform", platform, self.name)).strip()


@pytest.fixture(scope="module", params=["distribution", "debian"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    root = tmp_path_factory.mktemp("wrong")
    make_layout(root / "layout", PLATFORMS)
    (other,) = {"distribution", "debian"} - {request.param}
    with KINDS[request.param](root / "registry") as registry, KINDS[other](root / "other") as second:
        made = Pair(registry, second, root)
        output_of(regkit("copy", f"oci:{root / 'layout'}:built", made.name))
        yield made


def manifest_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output_of(peer("crane", "manifest", name)))
    return found


def digests_of(name: str) -> list[str]:
    return [entry["digest"] for entry in manifest_of(name)["manifests"]]


def test_regctl_leaves_out_a_platform_that_is_not_there(pair: Pair) -> None:
    """Asked for a platform that the source lacks, regctl tags an empty index and is content; regkit ends with 5."""
    by_regctl, by_regkit = f"{pair.repository}:empty", f"{pair.repository}:none"

    asked = ("--platform", "linux/s390x")
    output_of(peer(*pair.regctl, "index", "create", by_regctl, "--ref", pair.name, *asked))
    refused = regkit("copy", *asked, pair.name, by_regkit)
    verified = regkit("verify", by_regctl, "--platforms", "linux/s390x")

    assert digests_of(by_regctl) == []
    assert refused.returncode == 5
    assert "none" not in pair.registry.tags("team/app")
    assert verified.returncode == 7


def test_regctl_writes_annotations_where_dockers_lists_have_none(pair: Pair) -> None:
    """Docker's list has no place for them; regctl writes them anyway, regkit says that they would be lost: 2."""
    by_regctl, by_regkit = f"{pair.repository}:docker-list", f"{pair.repository}:no-list"

    made = ("--media-type", mediatype.DOCKER_INDEX, "--annotation", "a=b", "--ref", pair.image("linux/amd64"))
    output_of(peer(*pair.regctl, "index", "create", by_regctl, *made))
    options = ("--media-type", "docker", "--annotation", "a=b")
    refused = regkit("index", "create", by_regkit, *options, pair.image("linux/amd64"))

    written = manifest_of(by_regctl)
    assert (written["mediaType"], written["annotations"]) == (mediatype.DOCKER_INDEX, {"a": "b"})
    assert refused.returncode == 2
    assert "no-list" not in pair.registry.tags("team/app")


@pytest.mark.parametrize("tool", ["oras", "regctl"])
def test_peers_list_a_platform_twice(pair: Pair, tool: str, tmp_path: Path) -> None:
    """A newer image for a platform: oras and regctl put it behind the old, which is what stays pulled."""
    make_layout(tmp_path / "newer", PLATFORMS[:1], seed=1)
    newer = f"{pair.repository}:newer"
    output_of(regkit("copy", f"oci:{tmp_path / 'newer'}:built", newer))
    (digest,) = digests_of(newer)
    image = f"{pair.repository}@{digest}"
    by_peer, by_regkit = (f"{pair.repository}:twice-{tool}-{who}" for who in ("peer", "regkit"))
    output_of(regkit("tag", "set", pair.name, *(name.rpartition(":")[2] for name in (by_peer, by_regkit))))
    commands = {
        "oras": ("oras", "manifest", "index", "update", "--plain-http", by_peer, "--add", digest),
        "regctl": (*pair.regctl, "index", "add", by_peer, "--ref", image),
    }

    output_of(peer(*commands[tool]))
    refused = regkit("index", "append", by_regkit, image)
    output_of(regkit("index", "append", "--replace", by_regkit, image))

    before = digests_of(pair.name)
    assert digests_of(by_peer) == [*before, digest]
    assert output_of(peer("crane", "digest", "--platform", PLATFORMS[0], by_peer)).strip() == before[0]
    assert refused.returncode == 2
    assert digests_of(by_regkit) == [digest, *before[1:]]
    assert output_of(peer("crane", "digest", "--platform", PLATFORMS[0], by_regkit)).strip() == digest


def test_crane_makes_one_platform_of_a_release(pair: Pair) -> None:
    """`crane mutate` on a release's tag leaves one platform's image there, and can't annotate the index at all."""
    by_crane, by_regkit = (f"{pair.repository}:changed-{who}" for who in ("crane", "regkit"))
    output_of(regkit("tag", "set", pair.name, *(name.rpartition(":")[2] for name in (by_crane, by_regkit))))

    refused = peer("crane", "mutate", "--annotation", "a=b", by_crane)
    output_of(peer("crane", "mutate", "--label", "a=b", by_crane, "-t", by_crane))
    output_of(regkit("index", "annotate", by_regkit, "--annotation", "a=b"))

    assert refused.returncode != 0
    assert "manifests" not in manifest_of(by_crane)
    assert manifest_of(by_regkit)["annotations"] == {"a": "b"}
    assert digests_of(by_regkit) == digests_of(pair.name)
    validate(by_regkit, PLATFORMS)


def test_crane_wraps_the_index_of_a_layout(pair: Pair) -> None:
    """Crane pushes the layout's own table of contents, an index over the index; regkit what the layout names."""
    layout, by_crane, by_regkit = pair.root / "layout", f"{pair.repository}:wrapped", f"{pair.repository}:pushed"

    output_of(peer("crane", "push", "--index", layout, by_crane))
    output_of(regkit("copy", f"oci:{layout}:built", by_regkit))

    (wrapped,) = manifest_of(by_crane)["manifests"]
    assert wrapped["mediaType"] == mediatype.OCI_INDEX
    assert wrapped["annotations"] == {"org.opencontainers.image.ref.name": "built"}  # a name that nobody else knows
    assert output_of(peer("crane", "digest", by_regkit)).strip() == wrapped["digest"]
    assert {entry["mediaType"] for entry in manifest_of(by_regkit)["manifests"]} == {mediatype.OCI_MANIFEST}


def test_oras_needs_its_images_in_one_repository(pair: Pair) -> None:
    """An index over images of another registry: oras refuses, regkit brings them, as crane does."""
    sources = [pair.image(platform) for platform in PLATFORMS]
    by_crane, by_oras, by_regkit = (f"{pair.other.host}/elsewhere/{who}:1" for who in ("crane", "oras", "regkit"))

    refused = peer("oras", "manifest", "index", "create", "--plain-http", by_oras, *sources)
    output_of(peer("crane", "index", "append", *(f"--manifest={source}" for source in sources), "-t", by_crane))
    output_of(regkit("index", "create", by_regkit, *sources))

    assert refused.returncode != 0
    assert digests_of(by_regkit) == digests_of(by_crane) == digests_of(pair.name)
    validate(by_regkit, PLATFORMS)


@pytest.mark.parametrize("tool", ["regctl", "oras", "skopeo"])
def test_a_subset_of_the_platforms(pair: Pair, tool: str, tmp_path: Path) -> None:
    """Regkit makes an index over what is asked for, and what attests it.

    Oras and skopeo give the bare image, without its attestation; regctl keeps an index that still names the others,
    which the registry then refuses.
    """
    source = f"{pair.registry.host}/attested:1"
    output_of(regkit("copy", f"oci:{attested_layout(tmp_path / 'layout', *PLATFORMS[:2])}", source))
    by_peer, by_regkit = (f"{pair.other.host}/subset-{tool}/{who}:1" for who in ("peer", "regkit"))
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
    commands = {
        "regctl": (*pair.regctl, "image", "copy", "--platforms", "linux/amd64", source, by_peer),
        "oras": ("oras", "cp", "--platform", "linux/amd64", "--from-plain-http", "--to-plain-http", source, by_peer),
        "skopeo": ("skopeo", "--override-arch", "amd64", "copy", *plain, f"docker://{source}", f"docker://{by_peer}"),
    }

    done = peer(*commands[tool])
    output_of(regkit("copy", "--platform", "linux/amd64", source, by_regkit))

    whole = manifest_of(source)["manifests"]
    image = output_of(peer("crane", "digest", "--platform", "linux/amd64", source)).strip()
    attested = [e for e in whole if e.get("annotations", {}).get("vnd.docker.reference.digest") == image]
    assert manifest_of(by_regkit)["manifests"] == [e for e in whole if e["digest"] == image] + attested
    assert len(attested) == 1
    if tool == "regctl":
        assert done.returncode != 0
        assert pair.other.tags(f"subset-{tool}/peer") == []
    else:
        output_of(done)
        assert "manifests" not in manifest_of(by_peer)
    output_of(regkit("verify", by_regkit, "--platforms", "linux/amd64"))
