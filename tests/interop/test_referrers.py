"""Referrers beside oras, regctl and cosign: with the API of a registry that isn't ours, with our own, and without any.

go-containerregistry's registry has the API, but answers a push without `OCI-Subject`, and gives the configuration's
type for the artifact's; distribution v3 and docker-registry 2.8 have only the fallback tag.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, canonical_json
from regkit.protocol.referrers import fallback_tag
from tests.conftest import KINDS
from tests.support.command import output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, ggcr

PLATFORMS = ("linux/amd64", "linux/arm64")
KIND = "application/vnd.example"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
WITH_API = ("embedded", "ggcr")
TOOLS = ("oras", "regctl", "cosign")
PASSWORD = {"COSIGN_PASSWORD": "only for tests"}


@dataclass(frozen=True)
class Place:
    """A registry, and what its peers need to attach something to an image."""

    registry: RunningRegistry
    root: Path

    def subject(self, repository: str) -> str:
        """Bring an index there; give its name."""
        name = f"{self.registry.host}/{repository}:1"
        output_of(regkit("copy", f"oci:{self.root / 'layout'}:built", name))
        return name

    def attach(self, tool: str, name: str) -> None:
        """Have a peer attach something to what `name` stands for."""
        file = self.root / "note.txt"
        if tool == "oras":
            plain = ("--plain-http", "--disable-path-validation")
            output_of(peer("oras", "attach", *plain, "--artifact-type", f"{KIND}.oras", name, f"{file}:text/plain"))
        elif tool == "regctl":
            kind = ("--artifact-type", f"{KIND}.regctl", "--file-media-type", "text/plain", "--annotation", "by=regctl")
            output_of(peer(*self.regctl, "artifact", "put", "--subject", name, *kind, "--file", file))
        else:
            signed = f"{name.rpartition(':')[0]}@{digest_of(name)}"
            offline = ("--tlog-upload=false", "--use-signing-config=false", "--yes")
            output_of(peer("cosign", "sign", *offline, "--key", self.root / "cosign.key", signed, env=PASSWORD))

    @property
    def regctl(self) -> tuple[str, ...]:
        """The command, told that the registry speaks plain http."""
        return ("regctl", "--host", f"reg={self.registry.host},tls=disabled")

    def expected_tags(self, name: str) -> list[str]:
        """Give the tags of a repository with one image and referrers that regkit brought."""
        fallback = () if self.registry.kind in WITH_API else (fallback_tag(Digest(digest_of(name))),)
        return sorted(("1", *fallback))

    def tags(self, name: str) -> list[str]:
        return self.registry.tags(name.partition("/")[2].rpartition(":")[0])

    def check_peers_find(self, name: str, listed: set[str]) -> None:
        """See that oras and regctl list these digests, and that cosign verifies the signature."""
        assert set(discovered(name)) == listed
        shown = json.loads(output_of(peer(*self.regctl, "artifact", "list", "--format", "{{json .}}", name)))
        assert {each["digest"] for each in shown["descriptors"]} == listed
        verify = ("cosign", "verify", "--insecure-ignore-tlog", "--key", self.root / "cosign.pub")
        (signature,) = json.loads(output_of(peer(*verify, f"{name.rpartition(':')[0]}@{digest_of(name)}")))
        assert signature["critical"]["image"]["docker-manifest-digest"] == digest_of(name)


@pytest.fixture(scope="module", params=[*KINDS, "ggcr"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("referrers")
    make_layout(root / "layout", PLATFORMS)
    (root / "note.txt").write_text("noted")
    output_of(peer("cosign", "generate-key-pair", "--output-key-prefix", root / "cosign", env=PASSWORD))
    with {**KINDS, "ggcr": ggcr}[request.param](root / "registry") as registry:
        yield Place(registry, root)


only_ggcr = pytest.mark.parametrize("place", ["ggcr"], indirect=True)


def digest_of(name: str) -> str:
    return output_of(peer("crane", "digest", name)).strip()


def discovered(name: str, *options: str) -> dict[str, dict[str, Any]]:
    """Give what oras finds, by digest."""
    shown = json.loads(output_of(peer("oras", "discover", "--plain-http", "--format", "json", *options, name)))
    return {each["digest"]: each for each in shown.get("referrers") or ()}


def listed(name: str, *options: str) -> dict[str, dict[str, Any]]:
    """Give what regkit finds, by digest."""
    shown = json.loads(output_of(regkit("referrers", "--format", "json", *options, name)))
    return {each["digest"]: each for each in shown["referrers"]}


def described(name: str, digest: str) -> dict[str, Any]:
    """Give what a list of referrers should say of one, by its manifest as crane reads it."""
    raw = output_of(peer("crane", "manifest", f"{name.rpartition(':')[0]}@{digest}"))
    return Manifest(mediatype.OCI_MANIFEST, raw.encode()).as_referrer.to_json()


def test_what_peers_attach_regkit_lists(place: Place) -> None:
    """What each peer pushed is listed with the type and annotations that its manifest has, and found by its type."""
    name = place.subject("theirs")
    for tool in TOOLS:
        place.attach(tool, name)

    found = listed(name)

    assert set(found) == set(discovered(name))
    assert {each["artifactType"] for each in found.values()} == {f"{KIND}.oras", f"{KIND}.regctl", BUNDLE}
    for digest, each in found.items():
        ours = described(name, digest)
        assert each["artifactType"] == ours["artifactType"]
        if place.registry.kind in WITH_API or each["artifactType"] != BUNDLE:  # cosign's own list: see below
            assert each == ours
        assert list(listed(name, "--artifact-type", each["artifactType"])) == [digest]
    tree = output_of(regkit("inspect", "--format", "tree", name))
    for kind in (f"{KIND}.oras", f"{KIND}.regctl", BUNDLE):
        assert f"referrer {kind}  " in tree


def test_what_regkit_brings_peers_find(place: Place, tmp_path: Path) -> None:
    """Copied within the registry, into a layout and back: all of it is there, and no tag where there is the API."""
    name, there, back = place.subject("from"), *(f"{place.registry.host}/{each}:1" for each in ("there", "back"))
    for tool in TOOLS:
        place.attach(tool, name)

    output_of(regkit("copy", "--referrers", name, there))
    output_of(regkit("copy", "--referrers", there, f"ocidir://{tmp_path / 'kept'}:1"))
    output_of(regkit("copy", "--referrers", f"ocidir://{tmp_path / 'kept'}:1", back))

    for copied in (there, back):
        place.check_peers_find(copied, set(discovered(name)))
        assert listed(copied) == {digest: described(name, digest) for digest in listed(name)}
        assert place.tags(copied) == place.expected_tags(copied)


@pytest.mark.parametrize("tool", ["oras", "regctl"])
def test_what_regkit_attaches_peers_copy_on(place: Place, tool: str, tmp_path: Path) -> None:
    """An artifact that `manifest put` attached is one for peers, who take it along; then regkit finds it there."""
    name = place.subject(f"ours-{tool}")
    repository = name.rpartition(":")[0]
    (tmp_path / "empty").write_bytes(b"{}")
    output_of(regkit("blob", "put", repository, tmp_path / "empty"))
    empty = Descriptor.of(mediatype.OCI_EMPTY, b"{}").to_json()
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "artifactType": f"{KIND}.ours",
        "config": empty,
        "layers": [empty],
        "subject": json.loads(output_of(regkit("manifest", "head", name))),
        "annotations": {"by": "regkit"},
    }
    ours = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
    (tmp_path / "ours.json").write_bytes(ours.raw)
    output_of(regkit("manifest", "put", repository, tmp_path / "ours.json"))
    assert place.tags(name) == place.expected_tags(name)

    there = f"{place.registry.host}/onward-{tool}:1"
    commands = {
        "oras": ("oras", "cp", "-r", "--from-plain-http", "--to-plain-http", name, there),
        "regctl": (*place.regctl, "image", "copy", "--referrers", name, there),
    }
    output_of(peer(*commands[tool]))

    assert list(discovered(name)) == [ours.digest]
    assert listed(there) == listed(name) == {ours.digest: ours.as_referrer.to_json()}


def test_a_statement_that_a_peer_attached_is_an_attestation(place: Place, tmp_path: Path) -> None:
    """In-toto that oras attached to one platform's image, not to the index, is read with `inspect --attestations`."""
    name = place.subject("attested")
    image = output_of(regkit("resolve", "--platform", "linux/arm64", name)).strip()
    statement = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://example.com/p", "predicate": {}}
    (tmp_path / "statement.json").write_text(json.dumps(statement))
    plain = ("--plain-http", "--disable-path-validation", "--artifact-type", "application/vnd.in-toto+json")
    output_of(peer("oras", "attach", *plain, image, f"{tmp_path / 'statement.json'}:application/vnd.in-toto+json"))

    shown = json.loads(output_of(regkit("inspect", "--attestations", "--format", "json", name)))

    (found,) = shown["attestations"]
    assert found["statement"] == statement
    assert found["digest"] == Digest.of((tmp_path / "statement.json").read_bytes())
    assert found["platform"] == {"os": "linux", "architecture": "arm64"}


def test_caps_say_how_referrers_are_kept(place: Place) -> None:
    """Whether there is the API is what the tags show that peers and regkit leave."""
    name = place.subject("caps")

    found = json.loads(output_of(regkit("caps", name, "--format", "json")))["capabilities"]

    assert found["referrers-api"]["answer"] == ("yes" if place.registry.kind in WITH_API else "no")
    assert found["referrers-filter"]["answer"] == ("yes" if place.registry.kind == "embedded" else "no")


@only_ggcr
def test_a_type_that_the_registry_gets_wrong_misleads_oras(place: Place) -> None:
    """Asked for a type, oras finds nothing there, since the list names the empty configuration's; regkit finds it."""
    name = place.subject("types")
    place.attach("oras", name)

    (theirs,) = discovered(name).values()
    (ours,) = listed(name, "--artifact-type", f"{KIND}.oras").values()

    assert theirs["artifactType"] == mediatype.OCI_EMPTY
    assert discovered(name, "--artifact-type", f"{KIND}.oras") == {}
    assert ours["artifactType"] == f"{KIND}.oras"
    assert ours["digest"] == theirs["digest"]


@only_ggcr
@pytest.mark.parametrize("tool", ["oras", "regctl"])
def test_peers_leave_a_fallback_tag_beside_the_api(place: Place, tool: str) -> None:
    """Copied with its signature by oras and regctl, the image has a tag that nobody reads; by regkit it has none."""
    name = place.subject(f"signed-{tool}")
    place.attach("cosign", name)
    by_peer, by_regkit = (f"{place.registry.host}/signed-{tool}/{who}:1" for who in ("peer", "regkit"))
    commands = {
        "oras": ("oras", "cp", "-r", "--from-plain-http", "--to-plain-http", name, by_peer),
        "regctl": (*place.regctl, "image", "copy", "--referrers", name, by_peer),
    }

    output_of(peer(*commands[tool]))
    output_of(regkit("copy", "--referrers", name, by_regkit))

    assert place.tags(by_peer) == ["1", fallback_tag(Digest(digest_of(name)))]
    assert place.tags(by_regkit) == ["1"]
    assert set(discovered(by_regkit)) == set(discovered(by_peer)) == set(discovered(name))


@pytest.mark.parametrize("place", ["distribution", "debian"], indirect=True)
def test_cosign_lists_its_signature_without_annotations(place: Place) -> None:
    """In the fallback list, what the manifest says of itself is left out; regkit's copy of it is listed with all."""
    name, there = place.subject("bare"), f"{place.registry.host}/whole:1"
    place.attach("cosign", name)
    output_of(regkit("copy", "--referrers", name, there))

    (by_cosign,), (by_regkit,) = discovered(name).values(), discovered(there).values()

    assert not by_cosign.get("annotations")
    assert by_regkit["annotations"] == described(name, by_cosign["digest"])["annotations"]


@pytest.mark.parametrize("tool", ["crane", "skopeo"])
def test_peers_leave_signatures_behind(place: Place, tool: str) -> None:
    """Crane and skopeo copy an image without what refers to it, and say nothing; regkit takes it along if asked."""
    name = place.subject(f"left-{tool}")
    place.attach("cosign", name)
    by_peer, by_regkit = (f"{place.registry.host}/left-{tool}/{who}:1" for who in ("peer", "regkit"))
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
    commands = {
        "crane": ("crane", "copy", name, by_peer),
        "skopeo": ("skopeo", "copy", "--all", *plain, f"docker://{name}", f"docker://{by_peer}"),
    }

    output_of(peer(*commands[tool]))
    output_of(regkit("copy", "--referrers", name, by_regkit))

    assert digest_of(by_peer) == digest_of(by_regkit) == digest_of(name)
    assert listed(by_peer) == {}
    place.check_peers_find(by_regkit, set(listed(name)))
