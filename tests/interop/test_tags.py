"""Tags beside crane, regctl, oras and skopeo: listed, set and removed; and what peers take along with a tag."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import KINDS
from tests.support.command import output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, debian
from tests.support.releases import tags_put

TAGS = ("1", "1.0", "latest")


@dataclass(frozen=True)
class Stage:
    registry: RunningRegistry
    root: Path

    def fill(self, repository: str) -> str:
        """Bring an index there under all TAGS; give the repository's name."""
        name = f"{self.registry.host}/{repository}"
        output_of(regkit("copy", f"oci:{self.root / 'layout'}:built", f"{name}:{TAGS[0]}"))
        output_of(regkit("tag", "set", f"{name}:{TAGS[0]}", *TAGS[1:]))
        return name

    @property
    def regctl(self) -> tuple[str, ...]:
        return ("regctl", "--host", f"reg={self.registry.host},tls=disabled")


@pytest.fixture(scope="module", params=["distribution", "debian", "embedded"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("tags")
    make_layout(root / "layout", ("linux/amd64", "linux/arm64"))
    with KINDS[request.param](root / "registry") as registry:
        yield Stage(registry, root)


def digest_of(name: str) -> str:
    return output_of(peer("crane", "digest", name)).strip()


def listed(name: str, *options: str) -> list[str]:
    """Give what `tag ls` lists, sorted: docker-registry 2.8 has no order."""
    return sorted(output_of(regkit("tag", "ls", name, *options)).split())


def theirs(*argv: str) -> list[str]:
    """Give what a peer lists, a tag a line, sorted."""
    return sorted(output_of(peer(*argv)).split())


def test_every_client_lists_the_same_tags(stage: Stage) -> None:
    """Crane, regctl, oras and skopeo list what `tag ls` lists."""
    name = stage.fill("listed")

    assert listed(name) == list(TAGS)
    assert theirs("crane", "ls", name) == list(TAGS)
    assert theirs(*stage.regctl, "tag", "ls", name) == list(TAGS)
    assert theirs("oras", "repo", "tags", "--plain-http", name) == list(TAGS)
    shown = output_of(peer("skopeo", "list-tags", "--tls-verify=false", f"docker://{name}"))
    assert sorted(json.loads(shown)["Tags"]) == list(TAGS)


@pytest.mark.parametrize("tool", ["crane", "oras", "regctl"])
def test_a_tag_that_a_peer_set(stage: Stage, tool: str) -> None:
    """Each tags in its own way; `tag ls --digest` finds the tag on its digest, and `resolve` agrees."""
    name = stage.fill(f"set-by-{tool}")
    commands = {
        "crane": ("crane", "tag", f"{name}:1", "theirs"),
        "oras": ("oras", "tag", "--plain-http", f"{name}:1", "theirs"),
        "regctl": (*stage.regctl, "image", "copy", f"{name}:1", f"{name}:theirs"),
    }

    output_of(peer(*commands[tool]))

    digest = digest_of(f"{name}:1")
    assert listed(name, "--digest", digest) == [*TAGS, "theirs"]
    assert output_of(regkit("resolve", f"{name}:theirs")).strip() == f"{name}@{digest}"


def test_tags_that_regkit_set(stage: Stage) -> None:
    """They are written in the order given, one after the other; crane finds each on the image's digest."""
    name = stage.fill("set-by-regkit")
    image = json.loads(output_of(peer("crane", "manifest", f"{name}:1")))["manifests"][0]["digest"]
    wanted = ["z", "a", "m", "latest"]
    mark = stage.registry.mark()

    output_of(regkit("tag", "set", f"{name}@{image}", *wanted))

    assert tags_put(stage.registry.since(mark)) == wanted
    assert {digest_of(f"{name}:{tag}") for tag in wanted} == {image}
    assert digest_of(f"{name}:1.0") == digest_of(f"{name}:1") != image


@pytest.mark.parametrize("stage", ["distribution", "embedded"], indirect=True)
def test_a_tag_that_a_peer_removed_and_one_that_regkit_did(stage: Stage) -> None:
    """What `crane delete` and `regctl tag delete` removed isn't listed; what `tag rm` removed they don't find."""
    name = stage.fill("removed")
    output_of(peer("crane", "delete", f"{name}:1"))
    output_of(regkit("tag", "rm", f"{name}:1.0", "--yes"))

    assert listed(name) == theirs("crane", "ls", name) == ["latest"]
    assert regkit("resolve", f"{name}:1").returncode == 5
    assert peer(*stage.regctl, "manifest", "head", f"{name}:1.0").returncode != 0
    output_of(peer(*stage.regctl, "tag", "delete", f"{name}:latest"))
    assert regkit("tag", "ls", name).returncode == 5


@pytest.mark.parametrize("stage", ["distribution", "embedded"], indirect=True)
@pytest.mark.parametrize("tool", ["oras", "skopeo"])
def test_oras_and_skopeo_take_all_tags_along(stage: Stage, tool: str) -> None:
    """Asked to delete one tag, they delete what it stands on, and so every other; `tag rm` removes just that one."""
    by_peer, by_regkit = (stage.fill(f"untag-{tool}/{who}") for who in ("peer", "regkit"))
    commands = {
        "oras": ("oras", "manifest", "delete", "--plain-http", "--force", f"{by_peer}:latest"),
        "skopeo": ("skopeo", "delete", "--tls-verify=false", f"docker://{by_peer}:latest"),
    }

    output_of(peer(*commands[tool]))
    output_of(regkit("tag", "rm", f"{by_regkit}:latest", "--yes"))

    assert stage.registry.tags(by_peer.partition("/")[2]) == []
    assert stage.registry.tags(by_regkit.partition("/")[2]) == ["1", "1.0"]
    output_of(peer("crane", "validate", "--remote", f"{by_regkit}:1"))


@pytest.mark.parametrize("stage", ["debian"], indirect=True)
def test_regctl_ruins_a_tag_that_it_cannot_remove(stage: Stage) -> None:
    """Deletes are off: regctl has put a dummy on the tag by the time it finds out, and the release is no more there.

    Regkit finds out first: refused, exit code 9, and the tag stands where it stood.
    """
    by_peer, by_regkit = (stage.fill(f"dummy/{who}") for who in ("peer", "regkit"))
    digest = digest_of(f"{by_peer}:1")

    failed = peer(*stage.regctl, "tag", "delete", f"{by_peer}:latest")
    refused = regkit("tag", "rm", f"{by_regkit}:latest", "--yes")

    assert failed.returncode != 0
    assert digest_of(f"{by_peer}:latest") != digest
    assert refused.returncode == 9
    assert listed(by_regkit) == list(TAGS)
    assert digest_of(f"{by_regkit}:latest") == digest


def test_crane_and_regkit_where_only_digests_are_deleted(tmp_path: Path) -> None:
    """docker-registry 2.8 with deletes on knows none for tags: crane gives up, regkit removes that tag alone."""
    make_layout(tmp_path / "layout", ("linux/amd64",))
    with debian(tmp_path / "registry", delete=True) as registry:
        name = Stage(registry, tmp_path).fill("team/app")
        digest = digest_of(f"{name}:1")
        failed = peer("crane", "delete", f"{name}:latest")
        output_of(regkit("tag", "rm", f"{name}:latest", "--yes"))

        assert failed.returncode != 0
        assert registry.tags("team/app") == ["1", "1.0"]
        assert {digest_of(f"{name}:{tag}") for tag in ("1", "1.0")} == {digest}
        output_of(peer("crane", "validate", "--remote", f"{name}:1"))


def test_many_tags_of_a_registry_that_deletes_only_digests(tmp_path: Path) -> None:
    """docker-registry 2.8 can't delete side by side; asked for many tags, each goes, and no other stands on nothing."""
    make_layout(tmp_path / "layout", ("linux/amd64",))
    with debian(tmp_path / "registry", delete=True) as registry:
        name = Stage(registry, tmp_path).fill("team/app")
        many = [f"tmp-{number}" for number in range(40)]
        output_of(regkit("tag", "set", f"{name}:1", *many))

        output_of(regkit("tag", "rm", *(f"{name}:{tag}" for tag in many), "--yes"))

        assert registry.tags("team/app") == list(TAGS)
        assert {digest_of(f"{name}:{tag}") for tag in TAGS} == {digest_of(f"{name}:1")}


def test_no_clobber(stage: Stage, tmp_path: Path) -> None:
    """Neither moves a tag that stands; of all tags, those that are missing come anyway."""
    make_layout(tmp_path / "newer", ("linux/amd64",), seed=1)
    newer = f"{stage.registry.host}/clobber/newer"
    output_of(regkit("copy", f"oci:{tmp_path / 'newer'}", f"{newer}:1"))
    output_of(regkit("tag", "set", f"{newer}:1", "2"))
    by_crane, by_regkit = (stage.fill(f"clobber/{who}") for who in ("crane", "regkit"))

    output_of(peer("crane", "copy", "--all-tags", "--no-clobber", newer, by_crane))
    output_of(regkit("copy", "--all-tags", "--no-clobber", newer, by_regkit))

    for name in (by_crane, by_regkit):
        assert digest_of(f"{name}:1") == digest_of(f"{name}:latest") != digest_of(f"{newer}:1")
        assert digest_of(f"{name}:2") == digest_of(f"{newer}:1")
