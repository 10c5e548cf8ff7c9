from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import NotFound, ProtocolError, UsageError
from regkit.oci import mediatype
from regkit.oci.manifest import Manifest, canonical_json
from regkit.oci.platform import Platform
from regkit.ops.attestations import read_attestations
from regkit.ops.inspect import (
    inspect,
    inspect_tree,
    list_referrers,
    read_configs,
    read_manifest,
)
from regkit.protocol.flow import Bytes, Request, Response, drive
from regkit.protocol.manifest import put_manifest
from regkit.targets.layout import Layout
from regkit.targets.location import Location
from regkit.transport.session import Session
from tests.ops.support import (
    add_attestation,
    add_image,
    add_index,
    add_referrer,
    attested_layout,
    manifest_name,
    new_layout,
    release,
    serving,
)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return attested_layout(tmp_path / "layout", "linux/amd64", "linux/arm64")


def test_an_index_of_a_layout(layout: Path) -> None:
    """A layout with one entry needs no name; all children are read, with their sizes and layers."""
    with Session() as session:
        found = inspect(session, Location.parse(f"oci:{layout}"))

    index = Layout(layout).manifest("built")
    assert (found.manifest, found.config, found.platform) == (index, None, None)
    assert [entry.descriptor for entry in found.children] == list(index.manifests)
    first = found.children[0]
    assert first.manifest is not None
    assert first.total_size == first.descriptor.size + sum(blob.size for blob in first.manifest.blobs)
    document = json.loads(json.dumps(found.to_json()))
    assert (document["schema"], document["digest"], document["size"]) == (1, index.digest, len(index.raw))
    assert [entry["digest"] for entry in document["manifests"]] == [child.digest for child in index.manifests]


def test_an_image_for_a_platform(layout: Path) -> None:
    """The platform is compared after normalising; the image comes with its configuration."""
    location = Location.parse(f"oci:{layout}:built")
    with Session() as session:
        found = inspect(session, location, Platform.parse("linux/arm64/v8"))
        bare = read_manifest(session, location, Platform.parse("linux/arm64/v8"))
        image = inspect(session, Location.parse(f"oci:{layout}@{bare.digest}"), Platform.parse("linux/amd64"))

    assert found.manifest == bare == image.manifest
    assert str(found.platform) == "linux/arm64"
    document = found.to_json()
    assert document["platform"] == {"architecture": "arm64", "os": "linux"}
    assert len(document["layers"]) == 1


def test_a_platform_that_is_not_there(layout: Path) -> None:
    """What there is instead is named."""
    with Session() as session, pytest.raises(NotFound, match="has no image for linux/s390x") as caught:
        inspect(session, Location.parse(f"oci:{layout}"), Platform.parse("linux/s390x"))

    assert caught.value.hint is not None
    assert "linux/arm64" in caught.value.hint


def test_a_layout_with_several_entries(tmp_path: Path) -> None:
    """Which one is meant must be said, and the hint names them."""
    with new_layout(tmp_path) as layout:
        add_index(layout, [add_image(layout, "linux/amd64")], "a")
        add_index(layout, [], "b")
    with Session() as session:
        with pytest.raises(UsageError, match="has 2 entries") as caught:
            inspect(session, Location.parse(f"oci:{tmp_path}"))
        assert inspect(session, Location.parse(f"oci:{tmp_path}:b")).children == ()

    assert caught.value.hint == "name one of them: a, b"


class Incomplete(DevRegistry):
    """One child of an index is lost."""

    lost = ""

    def handle(self, request: Request) -> Response:
        return Response(404) if manifest_name(request) == self.lost != "" else super().handle(request)


def test_a_child_that_is_missing(layout: Path) -> None:
    """A hole in a release is shown as one, not as a failure to look at the rest."""
    registry = Incomplete()
    with serving(registry) as served:
        release(served, layout)
        index = read_manifest(served.session, Location.parse(f"{served.host}/team/hello"))
        registry.lost = index.manifests[0].digest

        found = inspect(served.session, Location.parse(f"{served.host}/team/hello:1.2"))

    assert [entry.manifest is None for entry in found.children] == [True, False, False, False]
    assert found.children[0].to_json()["layers"] is None


def test_what_is_not_there() -> None:
    """Neither repository nor tag: a NotFound that names both."""
    with serving() as served, pytest.raises(NotFound, match="can't read 1 in nobody"):
        inspect(served.session, Location.parse(f"{served.host}/nobody:1"))


def test_an_artifact_has_no_platform(tmp_path: Path) -> None:
    """What isn't an image has a configuration of its own kind, which isn't read."""
    with new_layout(tmp_path) as layout:
        artifact = add_image(layout, "linux/amd64", config=b"\x00", config_type="application/vnd.example.config")
    with Session() as session:
        found = inspect(session, Location.parse(f"oci:{tmp_path}@{artifact.digest}"))

    assert (found.config, found.platform, found.to_json()["platform"]) == (None, None, None)


@pytest.mark.parametrize("config", [b"{", b"[" * 100_000])
def test_a_broken_configuration(tmp_path: Path, config: bytes) -> None:
    """A configuration that can't be read is named."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64", config=config)
    with Session() as session, pytest.raises(ProtocolError, match=r"the configuration sha256:.* isn't valid JSON"):
        inspect(session, Location.parse(f"oci:{tmp_path}@{image.digest}"))


# What is beneath, and what refers


@pytest.fixture
def rich(layout: Path) -> Path:
    """Give a layout whose first image has a referrer, which has one itself; the index has another."""
    with Layout(layout) as target:
        index = target.manifest("built")
        sbom = add_referrer(target, index.manifests[0])
        add_referrer(target, sbom, "application/x.signature")
        add_referrer(target, index.descriptor, "application/x.signature")
    return layout


def test_a_tree(rich: Path) -> None:
    """All that is beneath is there, referrers of referrers too; an attestation isn't asked for more."""
    index = Layout(rich).manifest("built")
    with Session() as session:
        tree = inspect_tree(session, Location.parse(f"oci:{rich}:built"))
        image = inspect_tree(session, Location.parse(f"oci:{rich}:built"), Platform.parse("linux/amd64"))

    assert tree.entry.manifest == index
    assert [child.entry.descriptor for child in tree.children] == list(index.manifests)
    assert [referrer.entry.descriptor.artifact_type for referrer in tree.referrers] == ["application/x.signature"]
    first, second, attestation, _ = tree.children
    assert first == image
    assert (second.referrers, attestation.referrers, attestation.children) == ((), (), ())
    (sbom,) = first.referrers
    assert [below.entry.descriptor.artifact_type for below in sbom.referrers] == ["application/x.signature"]


class Endless(DevRegistry):
    """A new referrer of every manifest, without end."""

    def handle(self, request: Request) -> Response:
        if "/referrers/" in request.url:
            return self._refer(request.url.rpartition("/")[2])
        return super().handle(request)

    def _refer(self, subject: str) -> Response:
        raw = canonical_json({"schemaVersion": 2, "manifests": [], "annotations": {"of": subject}})
        added = Manifest(mediatype.OCI_INDEX, raw)
        drive(put_manifest("team/hello", added.digest, added), super().handle)
        listing = canonical_json({"manifests": [added.descriptor.to_json()]})
        headers = {"content-type": mediatype.OCI_INDEX, "content-length": str(len(listing))}
        return Response(200, headers, Bytes(listing).open())


def test_a_tree_ends() -> None:
    """A registry that always knows one more is asked for eight levels."""
    registry = Endless()
    with serving(registry) as served:
        empty = Manifest(mediatype.OCI_INDEX, b'{"schemaVersion": 2, "manifests": []}')
        drive(put_manifest("team/hello", "1", empty), registry.handle)
        tree = inspect_tree(served.session, Location.parse(f"{served.host}/team/hello:1"))

    depth = 0
    while tree.referrers:
        (tree,) = tree.referrers
        depth += 1
    assert depth == 8


def test_a_tree_with_a_hole(layout: Path) -> None:
    """A child that is missing is shown as missing."""
    registry = Incomplete()
    with serving(registry) as served:
        release(served, layout)
        location = Location.parse(f"{served.host}/team/hello:1.2")
        registry.lost = read_manifest(served.session, location).manifests[0].digest

        tree = inspect_tree(served.session, location)

    assert [child.entry.manifest is None for child in tree.children] == [True, False, False, False]


def test_the_configurations_of_an_index(rich: Path) -> None:
    """Those of its images, in its order, as bytes; attestations are left out."""
    location = Location.parse(f"oci:{rich}:built")
    with Session() as session:
        both = read_configs(session, location)
        (one,) = read_configs(session, location, Platform.parse("arm64/v8"))
        (same,) = read_configs(session, Location.parse(f"oci:{rich}@{one.image}"))

    assert [str(config.platform) for config in both] == ["linux/amd64", "linux/arm64"]
    assert one == both[1]
    assert one.document == {"architecture": "arm64", "os": "linux"}
    assert (same.raw, same.platform) == (one.raw, None)


def test_attestations(rich: Path) -> None:
    """Those in the index and those that refer to an image, with their statements where they are wanted."""
    with Layout(rich) as target:
        amd64, arm64 = target.manifest("built").manifests[:2]
        add_referrer(target, arm64, "application/vnd.in-toto+json", '{"predicateType": "x"}')
    location = Location.parse(f"oci:{rich}:built")
    with Session() as session:
        listed = read_attestations(session, location)
        (*_, last) = read_attestations(session, location, Platform.parse("arm64"), statements=False)
        alone = read_attestations(session, Location.parse(f"oci:{rich}@{arm64.digest}"), statements=True)
        with pytest.raises(ProtocolError, match=r"the attestation sha256:.* isn't valid JSON"):
            read_attestations(session, location, statements=True)

    images = [amd64.digest, arm64.digest, amd64.digest, arm64.digest]
    assert [attestation.image for attestation in listed] == images
    assert {attestation.statement for attestation in listed} == {None}
    assert (last.image, str(last.platform)) == (arm64.digest, "linux/arm64")
    assert [(found.statement, found.predicate) for found in alone] == [({"predicateType": "x"}, "")]
    assert alone[0].to_json()["platform"] is None


def test_an_attestation_that_names_nothing(tmp_path: Path) -> None:
    """It belongs to no image, and so isn't listed; the tree shows it by itself."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64")
        lost = add_attestation(layout, image)
        lost = replace(lost, annotations={**lost.annotations, "vnd.docker.reference.digest": "nothing"})
        add_index(layout, [image, lost], "built")
    with Session() as session:
        assert read_attestations(session, Location.parse(f"oci:{tmp_path}:built")) == ()
        tree = inspect_tree(session, Location.parse(f"oci:{tmp_path}:built"))

    assert [child.entry.attested for child in tree.children] == [None, None]


def test_referrers(rich: Path) -> None:
    """Of what a tag names, of an image in it, of a digest; only those of a type."""
    text = f"oci:{rich}:built"
    index = Layout(rich).manifest("built")
    with Session() as session:
        digest, found = list_referrers(session, Location.parse(text))
        amd64, of_image = list_referrers(session, Location.parse(text), Platform.parse("amd64"))
        none = list_referrers(session, Location.parse(text), artifact_type="application/x.sbom")
        gone = list_referrers(session, Location.parse(f"oci:{rich}@sha256:{'0' * 64}"))
        same = list_referrers(session, Location.parse(f"oci:{rich}@{amd64}"), Platform.parse("amd64"))
        with pytest.raises(NotFound):
            list_referrers(session, Location.parse(f"oci:{rich}:other"))

    assert (digest, [each.artifact_type for each in found]) == (index.digest, ["application/x.signature"])
    assert (amd64, [each.artifact_type for each in of_image]) == (index.manifests[0].digest, ["application/x.sbom"])
    assert none == (index.digest, ())
    assert gone[1] == ()
    assert same == (amd64, of_image)
