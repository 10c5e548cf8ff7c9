"""Attestations stay with their images, or are left out where that is asked for; annotations stand where they belong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import git, output_of, peer, regkit
from tests.support.registries import RunningRegistry, distribution
from tests.support.releases import validate

BUSYBOX = Path("/bin/busybox")
PLATFORMS = ("linux/amd64", "linux/arm64/v8")
SCANNER = """\
FROM scratch
COPY busybox /bin/
COPY scan /
ENTRYPOINT ["/bin/busybox", "sh", "/scan"]
"""
SCAN = """\
to="$BUILDKIT_SCAN_DESTINATION"
echo '{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","subject":[],' \\
  '"predicate":{"name":"scanned"}}' >"$to/it.spdx.json"
"""
SLSA, SPDX = "https://slsa.dev/provenance/", "https://spdx.dev/Document"


@dataclass(frozen=True)
class Place:
    """A registry that has an attested release of the hello image, and what it was made from."""

    registry: RunningRegistry
    source: Path
    builder: str
    scanner: str

    def name(self, repository: str) -> str:
        return f"{self.registry.host}/{repository}"

    def publish(self, repository: str, *options: str, version: str = "v1.2.3") -> str:
        asked = ("--image", self.name(repository), "--platform", ",".join(PLATFORMS), "--version", version)
        done = regkit("publish", self.source, *asked, *options, env={"BUILDKIT_HOST": self.builder})
        return output_of(done).strip()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, hello_origin: Path, builder: str) -> Iterator[Place]:
    """Give a release with the most provenance and an SBOM, by a scanner from the same registry."""
    root = tmp_path_factory.mktemp("attested")
    scanner = root / "scanner"
    scanner.mkdir()
    (scanner / "Dockerfile").write_text(SCANNER)
    (scanner / "scan").write_text(SCAN)
    shutil.copy(BUSYBOX, scanner / "busybox")
    with distribution(root / "registry") as registry:
        name = f"{registry.host}/scanner"
        asked = ("--image", name, "--version", "v1.0.0", "--platform", "linux/amd64", "--commit", "0" * 40)
        output_of(regkit("publish", scanner, *asked, env={"BUILDKIT_HOST": builder}))
        found = Place(registry, hello_origin, builder, f"{name}:1.0.0")
        found.publish(
            "attested", "--attest", "type=provenance,mode=max", "--attest", f"type=sbom,generator={found.scanner}"
        )
        found.publish("plain")
        yield found


def document(name: str) -> dict[str, Any]:
    """Give a manifest or an index, as crane reads it."""
    found: dict[str, Any] = json.loads(output_of(peer("crane", "manifest", name)))
    return found


def images(index: dict[str, Any]) -> list[dict[str, Any]]:
    return [child for child in index["manifests"] if child["platform"]["os"] != "unknown"]


def attestations(index: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give an index's attestations, by the image that each is of."""
    said = [child for child in index["manifests"] if child["platform"]["os"] == "unknown"]
    return {child["annotations"]["vnd.docker.reference.digest"]: child for child in said}


def predicates(name: str, child: dict[str, Any]) -> set[str]:
    layers = document(f"{name}@{child['digest']}")["layers"]
    return {layer["annotations"]["in-toto.io/predicate-type"] for layer in layers}


def of_platform(index: dict[str, Any], architecture: str) -> dict[str, Any]:
    return next(child for child in images(index) if child["platform"]["architecture"] == architecture)


def test_each_image_has_its_own(place: Place) -> None:
    """An attestation for each image, with the kinds that were asked for; the images are those without."""
    name = place.name("attested")
    index = document(f"{name}:1.2.3")

    assert attestations(index).keys() == {child["digest"] for child in images(index)}
    for child in attestations(index).values():
        slsa, spdx = sorted(predicates(name, child))
        assert slsa.startswith(SLSA)
        assert spdx == SPDX
    assert images(index) == images(document(f"{place.name('plain')}:1.2.3"))


def test_short_forms(place: Place) -> None:
    """As with buildx they come last, and can take back what was said before."""
    place.publish(
        "short", "--provenance", "mode=min", "--sbom", "false", "--attest", f"type=sbom,generator={place.scanner}"
    )
    name = place.name("short")

    index = document(f"{name}:1.2.3")
    assert {kind for child in attestations(index).values() for kind in predicates(name, child)} == {
        kind
        for kind in predicates(place.name("attested"), next(iter(attestations(_whole(place)).values())))
        if kind != SPDX
    }
    place.publish("none", "--provenance", "false")
    assert attestations(document(f"{place.name('none')}:1.2.3")) == {}


def _whole(place: Place) -> dict[str, Any]:
    return document(f"{place.name('attested')}:1.2.3")


def test_a_platform_takes_its_attestation_along(place: Place) -> None:
    source, target = place.name("attested"), place.name("one")
    output_of(regkit("copy", f"{source}:1.2.3", f"{target}:1", "--platform", "linux/arm64"))
    arm = of_platform(_whole(place), "arm64")

    index = document(f"{target}:1")
    assert index["manifests"] == [arm, attestations(_whole(place))[arm["digest"]]]
    validate(f"{target}:1", ("linux/arm64/v8",))


def test_a_copy_may_leave_them_out(place: Place) -> None:
    """What is left is the same index without them; to keep them is the default, and changes nothing."""
    source, target = f"{place.name('attested')}:1.2.3", place.name("bare")
    output_of(regkit("copy", source, f"{target}:1", "--attestations", "strip"))
    output_of(regkit("copy", source, f"{target}:2", "--attestations", "keep"))
    output_of(regkit("copy", f"{place.name('plain')}:1.2.3", f"{target}:3", "--attestations", "strip"))

    whole = _whole(place)
    assert document(f"{target}:1") == {**whole, "manifests": images(whole)}
    assert document(f"{target}:2") == whole
    assert output_of(peer("crane", "digest", f"{target}:3")) == output_of(
        peer("crane", "digest", f"{place.name('plain')}:1.2.3")
    )


@pytest.mark.parametrize("kept", ["keep", "strip"])
def test_a_publish_of_what_is_built_may_leave_them_out(place: Place, kept: str) -> None:
    asked = ("--image", place.name(f"again-{kept}"), "--version", "v1.2.3", "--attestations", kept)
    output_of(regkit("publish", "--from", f"{place.name('attested')}:1.2.3", *asked))

    index = document(f"{place.name(f'again-{kept}')}:1.2.3")
    assert images(index) == images(_whole(place))
    assert attestations(index) == (attestations(_whole(place)) if kept == "keep" else {})


def test_jobs_that_build_apart_keep_them(place: Place, tmp_path: Path) -> None:
    """What each job attests comes along into the merged release, image by image."""
    name, env = place.name("merged"), {"BUILDKIT_HOST": place.builder}
    records = tmp_path / "records"
    for platform in PLATFORMS:
        asked = ("--image", name, "--platform", platform, "--provenance", "true", "--push-by-digest")
        output_of(regkit("build", place.source, *asked, "--digest-dir", records, env=env))

    whole = ("--digest-dir", records, "--expect-platforms", ",".join(PLATFORMS), "--version", "v1.2.3")
    output_of(regkit("merge", "--image", name, *whole, env=env))

    index = document(f"{name}:1.2.3")
    assert images(index) == images(_whole(place))
    assert attestations(index).keys() == {child["digest"] for child in images(index)}


def test_what_is_built_already_gets_none(place: Place) -> None:
    asked = ("--image", place.name("wrong"), "--version", "v1.2.3", "--provenance", "true")
    done = regkit("publish", "--from", f"{place.name('plain')}:1.2.3", *asked)

    assert done.returncode == 2
    assert "what --from names is built already, so --provenance can't be given, too" in done.stderr


@pytest.mark.parametrize("options", [("--attest", "provenance"), ("--attest", "type=x"), ("--provenance", "max")])
def test_what_is_no_attestation(place: Place, options: tuple[str, ...]) -> None:
    done = regkit("publish", place.source, "--image", place.name("wrong"), *options)

    assert done.returncode == 2
    assert "not an attestation" in done.stderr


def test_annotations_stand_where_they_belong(place: Place, tmp_path: Path) -> None:
    """BuildKit writes an image's own; the index has its own and its entries'; the metadata have the descriptor's."""
    options = (
        "every=1",
        "index:own=2, with a comma",
        "manifest:image=3, too",
        "manifest[linux/arm64/v8]:arm=4",
        "manifest-descriptor:entry=5",
        "manifest-descriptor[linux/amd64]:x86=6",
        "index-descriptor:outside=7",
    )
    said = [word for option in options for word in ("--annotation", option)]
    metadata = tmp_path / "metadata.json"
    place.publish("annotated", *said, "--metadata-file", str(metadata))
    name = place.name("annotated")
    index = document(f"{name}:1.2.3")

    assert index["annotations"].items() >= {"every": "1", "own": "2, with a comma"}.items()
    arm, x86 = of_platform(index, "arm64"), of_platform(index, "amd64")
    assert (arm["annotations"], x86["annotations"]) == ({"entry": "5"}, {"entry": "5", "x86": "6"})
    own = [document(f"{name}@{child['digest']}").get("annotations") for child in (arm, x86)]
    assert own == [{"image": "3, too", "arm": "4"}, {"image": "3, too"}]
    assert json.loads(metadata.read_text())["containerimage.descriptor"]["annotations"] == {"outside": "7"}


def test_other_annotations_of_an_image_are_another_build(place: Place) -> None:
    """What is published says something else: that is told, and not replaced."""
    place.publish("twice", "--annotation", "manifest:a=1", "--annotation", "manifest-descriptor:b=1")
    asked = ("--image", place.name("twice"), "--platform", ",".join(PLATFORMS), "--version", "v1.2.3")
    env = {"BUILDKIT_HOST": place.builder}

    for options in (("manifest:a=2", "manifest-descriptor:b=1"), ("manifest:a=1", "manifest-descriptor:b=2")):
        notes = [word for option in options for word in ("--annotation", option)]
        done = regkit("publish", place.source, *asked, *notes, env=env)
        assert done.returncode == 9, done.stderr
    same = ("--annotation", "manifest:a=1", "--annotation", "manifest-descriptor:b=1")
    assert "nothing to build" in regkit("publish", place.source, *asked, *same, env=env).stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("manifest[linux/s390x]:a=b", "there is no image for manifest[linux/s390x]:a=b"),
        ("index[linux/amd64]:a=b", "names a platform, and an index has none"),
        ("manifest:a", "not an annotation"),
    ],
)
def test_annotations_that_cant_be_meant(place: Place, text: str, said: str) -> None:
    asked = ("--image", place.name("wrong"), "--platform", "linux/amd64", "--version", "v1.2.3")
    done = regkit("publish", place.source, *asked, "--annotation", text, env={"BUILDKIT_HOST": place.builder})

    assert done.returncode == 2
    assert said in done.stderr


def test_an_index_tells_where_it_is_from(place: Place, tmp_path: Path) -> None:
    """As GHCR shows it: by the CI's variables; whoever says something else is right."""
    event = {"repository": {"full_name": "me/app", "description": "Says hello", "license": {"spdx_id": "MIT"}}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    head = git(place.source, "rev-parse", "HEAD")
    env = {
        "BUILDKIT_HOST": place.builder,
        "GITHUB_ACTIONS": "true",
        "GITHUB_REF": "refs/tags/v1.2.3",
        "GITHUB_SHA": head,
        "GITHUB_REPOSITORY": "me/app",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "SOURCE_DATE_EPOCH": "86400",
    }
    asked = ("--image", place.name("described"), "--platform", "linux/amd64")
    output_of(regkit("publish", place.source, *asked, "--annotation", "org.opencontainers.image.title=Mine", env=env))

    found = document(f"{place.name('described')}:1.2.3")["annotations"]
    prefix = "org.opencontainers.image."
    assert {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)} == {
        "created": "1970-01-02T00:00:00Z",
        "description": "Says hello",
        "licenses": "MIT",
        "revision": head,
        "source": "https://github.com/me/app",
        "title": "Mine",
        "url": "https://github.com/me/app",
        "version": "1.2.3",
    }


def test_another_description_is_no_other_release(place: Place) -> None:
    """A rerun elsewhere, where git knows less, finds the release, and leaves it as it is."""
    name = place.name("plain")
    before = output_of(peer("crane", "digest", f"{name}:1.2.3")).strip()
    env = {"BUILDKIT_HOST": place.builder, "GITHUB_REPOSITORY": "me/app"}
    asked = ("--image", name, "--platform", ",".join(PLATFORMS), "--version", "v1.2.3")

    done = regkit("publish", place.source, *asked, env=env)
    assert output_of(done).strip() == f"{name}@{before}"
    assert "nothing to build" in done.stderr


def test_what_is_built_elsewhere_is_no_other_release_either(place: Place) -> None:
    """The same images, published again where the CI says more: nothing is written. A title that is asked for counts."""
    source, name = f"{place.name('attested')}:1.2.3", place.name("elsewhere")
    asked = ("publish", "--from", source, "--image", name, "--version", "v1.2.3")
    first = output_of(regkit(*asked))
    mark, env = place.registry.mark(), {"GITHUB_REPOSITORY": "me/app", "SOURCE_DATE_EPOCH": "1"}

    assert output_of(regkit(*asked, env=env)) == first
    assert place.registry.writes(mark) == []
    plan = output_of(regkit("plan", *asked[1:], env=env)).splitlines()
    assert f"index      {first.strip().partition('@')[2]}" in plan
    assert not any("me/app" in line for line in plan)
    assert regkit(*asked, "--annotation", "org.opencontainers.image.title=Other", env=env).returncode == 9
