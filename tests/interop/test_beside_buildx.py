"""What regkit publishes beside what buildx makes of the same source with the same BuildKit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index
from regkit.oci.platform import Platform
from tests.support.command import output_of, peer, regkit
from tests.support.registries import RunningRegistry
from tests.support.releases import PLATFORMS, REPOSITORY, publish

HAS_REFERRERS = "embedded"
"""The one of the three registries that has the referrers API."""

Buildx = Callable[..., str]


@pytest.fixture
def buildx(builder: str, tmp_path: Path) -> Buildx:
    """Give `buildx` with the tests' builder."""
    env = {"BUILDX_CONFIG": str(tmp_path / "buildx"), "BUILDX_BUILDER": "tests"}

    def run(*arguments: str | Path) -> str:
        return output_of(peer("buildx", *arguments, env=env))

    run("create", "--name", "tests", "--driver", "remote", builder)
    return run


def test_what_is_alike_and_what_is_not(registry: RunningRegistry, hello: Path, builder: str, buildx: Buildx) -> None:
    """Four platforms from one context, with provenance, by `regkit publish` and by `buildx build --push`.

    Alike, byte for byte: every image, with its configuration and layers. Not alike:

    - The index. Ours writes the variant that was asked for (`arm64/v8`; BuildKit drops it), lists each attestation
      behind its image (BuildKit: all of them at the end), and has annotations; buildx's with these three differences
      applied is ours, byte for byte.
    - The attestations. They say when and how they were made, so no two builds have the same, not even two of buildx:
      each of ours has the same type, the same image as its subject, and the same layers from the same steps.

    `imagetools create` of our images is byte for byte what `buildx build` without provenance pushes; where the registry
    has the referrers API, it finds our attestations there, and lists them, too. Of our tag it is our index.
    """
    name, theirs, plain = (f"{registry.host}/{each}" for each in (REPOSITORY, "theirs", "plain"))
    output_of(publish(registry, hello, "--attest", "type=provenance,mode=max", builder=builder))
    asked = ("build", "--push", "--platform", ",".join(PLATFORMS))
    buildx(*asked, "--provenance=mode=max", "--tag", f"{theirs}:1", hello)
    buildx(*asked, "--provenance=false", "--tag", f"{plain}:1", hello)

    mine, its = manifest(f"{name}:1.2.3"), manifest(f"{theirs}:1")

    assert len(images(mine)) == len(PLATFORMS)
    assert digests(images(mine)) == digests(images(its)) == digests(images(manifest(f"{plain}:1")))
    assert [str(image.platform) for image in images(mine)] == list(PLATFORMS)
    assert mine.digest != its.digest
    own = [attestation for attestation in mine.manifests if attestation.attests]
    assert with_our_differences(its, own, mine.annotations).raw == mine.raw
    for image in images(mine):
        assert_same_statement(provenance(name, mine, image), provenance(theirs, its, image), image)

    buildx("imagetools", "create", "--tag", f"{name}:tool", *(f"{name}@{image.digest}" for image in images(mine)))
    tool = manifest(f"{name}:tool")
    assert images(tool) == images(manifest(f"{plain}:1"))
    found = {child.digest for child in tool.manifests if child.attests}
    assert found == (set(digests(own)) if registry.kind == HAS_REFERRERS else set())
    assert found or tool.raw == manifest(f"{plain}:1").raw
    buildx("imagetools", "create", "--tag", f"{name}:same", f"{name}:1.2.3")
    assert manifest(f"{name}:same").raw == mine.raw


def test_what_buildkit_pushed_by_digest_is_released_where_it_is(
    registry: RunningRegistry, hello: Path, buildx: Buildx, tmp_path: Path
) -> None:
    """The guide's way for large images: the builder pushes them by digest, and `publish --from` brings no byte again.

    It writes the index and the tags alone; the images are those that the builder pushed, with the variants asked for.
    """
    name, written = f"{registry.host}/{REPOSITORY}", tmp_path / "metadata.json"
    output = ("--output", f"type=image,name={name},push-by-digest=true,push=true", "--metadata-file", written)
    buildx("build", "--platform", ",".join(PLATFORMS), "--provenance=false", *output, hello)
    pushed = f"{name}@{json.loads(written.read_text())['containerimage.digest']}"
    mark = registry.mark()

    done = publish_pushed(name, pushed)

    index = manifest(output_of(done).strip())
    assert digests(images(index)) == digests(images(manifest(pushed)))
    assert [str(image.platform) for image in images(index)] == list(PLATFORMS)
    manifests = f"/v2/{REPOSITORY}/manifests/"
    named = [logged.path.removeprefix(manifests) for logged in registry.writes(mark)]
    assert named == [index.digest, "1", "1.2", "1.2.3", "latest"]


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_provenance_names_every_repository(registry: RunningRegistry, hello: Path, builder: str) -> None:
    """Of several repositories each is a subject of the same provenance, by the version's tag."""
    names = [f"{registry.host}/{each}" for each in (REPOSITORY, "mirror/hello")]
    also = ("--image", names[1], "--attest", "type=provenance")
    output_of(publish(registry, hello, *also, builder=builder))

    first, second = (manifest(f"{name}:1.2.3") for name in names)
    assert first.raw == second.raw
    for image in images(first):
        subjects = provenance(names[0], first, image)["subject"]
        assert {subject["digest"]["sha256"] for subject in subjects} == {image.digest.partition(":")[2]}
        purls = [f"pkg:docker/{name}@1.2.3?platform=" for name in names]
        assert [subject["name"].partition("platform=")[0] + "platform=" for subject in subjects] == purls


def publish_pushed(name: str, pushed: str) -> CompletedProcess[str]:
    """Release in a repository what is there by digest."""
    asked = ("--image", name, "--version", "v1.2.3", "--platform", ",".join(PLATFORMS))
    return regkit("publish", "--from", pushed, *asked)


def with_our_differences(its: Manifest, attestations: list[Descriptor], annotations: Any) -> Manifest:
    """Make our index of buildx's."""
    children = []
    for image, platform in zip(images(its), PLATFORMS, strict=True):
        children.append(replace(image, platform=Platform.parse(platform)))
        children += [attestation for attestation in attestations if attestation.attests == image.digest]
    return assemble_index(children, annotations)


def assert_same_statement(ours: dict[str, Any], theirs: dict[str, Any], image: Descriptor) -> None:
    """Compare two statements about an image, but for what tells one build from another."""
    for statement in (ours, theirs):
        assert [subject["digest"] for subject in statement["subject"]] == [{"sha256": image.digest.partition(":")[2]}]
    assert (ours["_type"], ours["predicateType"]) == (theirs["_type"], theirs["predicateType"])
    mine, its = ours["predicate"], theirs["predicate"]
    assert mine["buildDefinition"]["buildType"] == its["buildDefinition"]["buildType"]
    mine, its = mine["runDetails"]["metadata"], its["runDetails"]["metadata"]
    assert mine["buildkit_metadata"]["layers"] == its["buildkit_metadata"]["layers"] != {}
    assert mine["invocationId"] != its["invocationId"]


def provenance(name: str, index: Manifest, image: Descriptor) -> dict[str, Any]:
    """Read the statement about an image that is listed beside it."""
    (attestation,) = (child for child in index.manifests if child.attests == image.digest)
    (layer,) = manifest(f"{name}@{attestation.digest}").layers
    statement: dict[str, Any] = json.loads(output_of(peer("crane", "blob", f"{name}@{layer.digest}")))
    return statement


def images(index: Manifest) -> list[Descriptor]:
    """Give an index's images, without what attests them."""
    return [child for child in index.manifests if child.attests is None]


def digests(children: list[Descriptor]) -> list[Digest]:
    """Give their digests."""
    return [child.digest for child in children]


def manifest(name: str) -> Manifest:
    """Read a manifest by crane."""
    return Manifest.parse(output_of(peer("crane", "manifest", name)).encode())
