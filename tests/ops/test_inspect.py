from __future__ import annotations

import json
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import NotFound, ProtocolError, UsageError
from regkit.oci.platform import Platform
from regkit.ops.inspect import inspect, read_manifest
from regkit.protocol.flow import Request, Response
from regkit.targets.layout import Layout
from regkit.targets.location import Location
from regkit.transport.session import Session
from tests.ops.support import add_image, add_index, attested_layout, manifest_name, new_layout, serving
from tests.ops.test_publish import release


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
