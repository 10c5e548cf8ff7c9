"""What an index brings into another, and which platform fits which."""

from __future__ import annotations

from pathlib import Path

import pytest

from regkit.errors import ProtocolError
from regkit.oci import mediatype
from regkit.oci.annotation import REF_NAME
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import MAX_SIZE, Manifest, canonical_json
from regkit.oci.platform import Platform
from regkit.ops.entries import fits, flatten, list_platforms, read_platform
from regkit.ops.graph import MAX_DEPTH, read_node
from regkit.protocol.flow import Bytes
from tests.ops.support import add_attestation, add_image, add_index, new_layout


@pytest.mark.parametrize(
    ("asked", "there", "expected"),
    [
        (Platform("linux", "arm64"), Platform("linux", "arm64", "v8"), True),
        (Platform("linux", "arm", "v7"), Platform("linux", "arm"), True),
        (Platform("linux", "arm", "v6"), Platform("linux", "arm"), False),
        (Platform("linux", "amd64"), Platform("windows", "amd64"), False),
        (Platform("windows", "amd64"), Platform("windows", "amd64", "", "10.0.1", ("win32k",)), True),
        (Platform("windows", "amd64", "", "10.0.2"), Platform("windows", "amd64", "", "10.0.1"), False),
        (Platform("windows", "amd64", "", "10.0.1"), Platform("windows", "amd64", "", "10.0.1"), True),
        (Platform("windows", "amd64", "", "", ("win32k",)), Platform("windows", "amd64"), False),
        (Platform("unknown", "unknown"), Platform("unknown", "unknown"), False),
        (Platform("linux", "amd64"), None, False),
    ],
)
def test_which_platform_fits(asked: Platform, there: Platform | None, *, expected: bool) -> None:
    """Variants are normalised; versions and features count where they are asked for; attestations never fit."""
    assert fits(asked, there) is expected


def test_an_image_brings_itself_without_the_name_that_a_layout_gave_it(tmp_path: Path) -> None:
    """The platform comes from the configuration, a layout's name stays in the layout."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/arm/v6")
        layout.push(image, Bytes(layout.manifest(image.digest).raw), "name")

        (entry,) = flatten(layout, read_node(layout, "name"))

    assert entry.descriptor.platform == Platform("linux", "arm", "v6")
    assert REF_NAME not in entry.descriptor.annotations
    assert entry.document == entry.descriptor.to_json()
    assert entry.owner == image.digest


def test_an_attestation_belongs_to_its_image(tmp_path: Path) -> None:
    """Its owner is what it attests; it has no platform to be listed by."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64")
        add_index(layout, [image, add_attestation(layout, image)], "index")

        entries = flatten(layout, read_node(layout, "index"))

    assert [entry.owner for entry in entries] == [image.digest, image.digest]
    assert list_platforms(entries) == "linux/amd64"
    assert list_platforms(entries[1:]) == "none"


@pytest.mark.parametrize(
    "config", [b"no JSON", b"[]", b"{}", b'{"os":"linux"}', b'{"architecture":"amd64"}', b"[" * 100_000]
)
def test_a_configuration_that_tells_no_platform(tmp_path: Path, config: bytes) -> None:
    """What isn't an image's configuration tells nothing, and breaks nothing."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64", config=config)

        assert read_platform(layout, layout.manifest(image.digest)) is None


def test_a_configuration_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """A config of gigabytes, as artifacts may have them, isn't fetched to look for a platform."""
    config = Descriptor("application/vnd.example", Descriptor.of("", b"").digest, MAX_SIZE + 1)
    manifest = Manifest(
        mediatype.OCI_MANIFEST, canonical_json({"schemaVersion": 2, "config": config.to_json(), "layers": []})
    )
    with new_layout(tmp_path) as layout:
        assert read_platform(layout, manifest) is None


def test_indexes_are_opened_as_deep_as_is_sane(tmp_path: Path) -> None:
    """A chain without end is an error, not a recursion."""
    with new_layout(tmp_path) as layout:
        child = add_image(layout, "linux/amd64")
        for _ in range(MAX_DEPTH + 1):
            child = add_index(layout, [child]).descriptor

        with pytest.raises(ProtocolError, match="nested more than"):
            flatten(layout, read_node(layout, child.digest))
