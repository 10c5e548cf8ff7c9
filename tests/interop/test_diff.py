"""`regkit diff` beside `regctl manifest diff`: on what crane made of an image, and on what regkit made of an index."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import KINDS
from tests.support.command import output_of, peer, regkit
from tests.support.layouts import make_layout

PLATFORMS = ("linux/amd64", "linux/arm64")


@dataclass(frozen=True)
class Stage:
    """A repository with an index at the tag `1`."""

    repository: str

    @property
    def regctl(self) -> tuple[str, ...]:
        return ("regctl", "--host", f"reg={self.repository.partition('/')[0]},tls=disabled")

    def changed(self, *argv: str) -> set[str]:
        """Give the lines that a diff of regctl's adds and removes, without their commas."""
        shown = output_of(peer(*self.regctl, *argv))
        return {f"{line[0]}{line[1:].strip().rstrip(',')}" for line in shown.splitlines() if line[:1] in {"+", "-"}}

    def image(self, tag: str, platform: str) -> str:
        digest = output_of(peer("crane", "digest", "--platform", platform, f"{self.repository}:{tag}")).strip()
        return f"{self.repository}@{digest}"


@pytest.fixture(scope="module", params=["distribution", "debian"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("diff")
    make_layout(root / "layout", PLATFORMS)
    with KINDS[request.param](root / "registry") as registry:
        name = f"{registry.host}/team/app"
        output_of(regkit("copy", f"oci:{root / 'layout'}:built", f"{name}:1"))
        yield Stage(name)


def differ(before: str, after: str, *options: str) -> dict[str, Any]:
    """Give what regkit finds, which has to be something."""
    done = regkit("diff", before, after, "--format", "json", "--detailed-exitcode", *options)
    assert done.returncode == 3, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_crane_made_of_an_image(stage: Stage, tmp_path: Path) -> None:
    """A layer and a label more: regctl shows the layer's line, regkit says what it is, and what the label was."""
    (tmp_path / "file").write_text("new")
    with tarfile.open(tmp_path / "layer.tar.gz", "w:gz") as packed:
        packed.add(tmp_path / "file", arcname="file")
    before, after = stage.image("1", "linux/amd64"), f"{stage.repository}:mutated"
    output_of(peer("crane", "mutate", "--label", "a=b", "--append", tmp_path / "layer.tar.gz", before, "-t", after))

    (image,) = differ(before, after)["images"]

    old, new = (json.loads(output_of(peer("crane", "manifest", name))) for name in (before, after))
    (added,) = [each for each in new["layers"] if each not in old["layers"]]
    assert image["layers"]["added"] == [added]
    assert image["layers"]["shared"] == old["layers"]
    assert image["layers"]["removed"] == []
    assert {"key": "Labels.a", "before": None, "after": "b"} in image["config"]
    assert f'+"digest": "{added["digest"]}"' in stage.changed("manifest", "diff", before, after)
    configs = [word for each in (old, new) for word in (stage.repository, each["config"]["digest"])]
    assert '+"a": "b"' in stage.changed("blob", "diff-config", *configs)


def test_what_regkit_made_of_an_index(stage: Stage) -> None:
    """Annotations at both levels: regctl's lines are those that regkit names, and no image has changed."""
    before, after = f"{stage.repository}:1", f"{stage.repository}:annotated"
    output_of(regkit("copy", before, after))
    said = ("--annotation", "a=b", "--annotation", "manifest-descriptor[linux/arm64]:c=d")
    output_of(regkit("index", "annotate", after, *said))

    found = differ(before, after)

    assert found["annotations"] == [{"key": "a", "before": None, "after": "b"}]
    amd64, arm64 = found["images"]
    assert amd64["equal"]
    assert [(each["key"], each["after"]) for each in arm64["annotations"]] == [("index-descriptor:c", "d")]
    assert arm64["before"]["digest"] == arm64["after"]["digest"]
    assert {'+"a": "b"', '+"c": "d"'} <= stage.changed("manifest", "diff", before, after)


def test_an_image_that_is_replaced_in_an_index(stage: Stage, tmp_path: Path) -> None:
    """Regctl shows two lines of hex; regkit the platform, and what the two images differ in."""
    before, after = f"{stage.repository}:1", f"{stage.repository}:replaced"
    make_layout(tmp_path / "newer", PLATFORMS[:1], seed=1)
    newer = f"{stage.repository}:newer"
    output_of(peer("skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{tmp_path}/newer", f"docker://{newer}"))
    output_of(regkit("copy", before, after))
    output_of(regkit("index", "append", "--replace", after, newer))

    found = differ(before, after)

    old, new = stage.image("1", "linux/amd64"), stage.image("newer", "linux/amd64")
    changed, same = found["images"]
    digests = [name.partition("@")[2] for name in (old, new)]
    assert [changed[side]["digest"] for side in ("before", "after")] == digests
    assert same["equal"]
    assert {f'-"digest": "{digests[0]}"', f'+"digest": "{digests[1]}"'} <= stage.changed(
        "manifest", "diff", before, after
    )
    (alone,) = differ(old, new)["images"]
    for what in ("layers", "config"):
        assert alone[what] == changed[what]


def test_the_same_under_two_names(stage: Stage) -> None:
    """What crane tagged is equal for both."""
    output_of(peer("crane", "tag", f"{stage.repository}:1", "alias"))

    names = (f"{stage.repository}:1", f"{stage.repository}:alias")
    assert output_of(regkit("diff", *names, "--detailed-exitcode")).startswith("equal: ")
    assert stage.changed("manifest", "diff", *names) == set()
