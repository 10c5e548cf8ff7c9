"""Ages: what an image says of when it was made, and when that says nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regkit.oci.annotation import CREATED
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index
from regkit.ops.ages import image_ages
from regkit.ops.census import read_census
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from tests.ops.support import add_attestation, add_image, add_index, new_layout

DAY = "2026-10-01T02:03:04Z"
WHEN = datetime(2026, 10, 1, 2, 3, 4, tzinfo=UTC)


def config(created: object) -> bytes:
    return json.dumps({"os": "linux", "architecture": "amd64", "created": created}).encode()


def ages(layout: Layout, *digests: Digest) -> dict[Digest, datetime]:
    return dict(image_ages(layout, read_census(layout), digests))


def test_an_image_says_it_in_its_configuration(tmp_path: Path) -> None:
    """And an index by its first image, which isn't an attestation."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64", config=config(DAY))
        other = add_image(layout, "linux/arm64", config=config("2001-01-01T00:00:00Z"))
        index = add_index(layout, [add_attestation(layout, image), image, other], "1")
        outer = add_index(layout, [index.descriptor], "2")

        assert ages(layout, index.digest, outer.digest) == {index.digest: WHEN, outer.digest: WHEN}


def test_an_annotation_goes_before(tmp_path: Path) -> None:
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64", config=config("2001-01-01T00:00:00Z"))
        index = assemble_index([image], {CREATED: DAY})
        raw = layout.manifest(image.digest).document
        noted = Manifest(image.media_type, json.dumps({**raw, "annotations": {CREATED: DAY}}).encode())
        for name, manifest in (("1", index), ("2", noted)):
            layout.push(manifest.descriptor, Bytes(manifest.raw), name)

        assert ages(layout, index.digest, noted.digest) == {index.digest: WHEN, noted.digest: WHEN}


@pytest.mark.parametrize(
    "created", ["1970-01-01T00:00:00Z", "1980-01-01T00:00:01Z", "0001-01-01T00:00:00Z", "", "yesterday", 5, None]
)
def test_a_date_that_says_nothing_is_none(tmp_path: Path, created: object) -> None:
    """As reproducible builds write it, or nonsense."""
    with new_layout(tmp_path) as layout:
        index = add_index(layout, [add_image(layout, "linux/amd64", config=config(created))], "1")

        assert ages(layout, index.digest) == {}


@pytest.mark.parametrize("raw", [b"[]", b"{", b'"x"'])
def test_a_configuration_that_is_none_tells_no_age(tmp_path: Path, raw: bytes) -> None:
    with new_layout(tmp_path) as layout:
        index = add_index(layout, [add_image(layout, "linux/amd64", config=raw)], "1")

        assert ages(layout, index.digest) == {}


def test_what_cannot_be_read_tells_no_age_and_stops_nobody(tmp_path: Path) -> None:
    """A configuration that isn't there; an index without images; and one that is all right beside them."""
    with new_layout(tmp_path) as layout:
        broken = add_image(layout, "linux/amd64", "broken", config=config("2002-02-02T00:00:00Z"))
        manifest = layout.manifest(broken.digest)
        assert manifest.config is not None
        lacking = add_index(layout, [broken], "1")
        empty = add_index(layout, [], "2")
        whole = add_index(layout, [add_image(layout, "linux/arm64", config=config(DAY))], "3")
        (tmp_path / "blobs/sha256" / manifest.config.digest.hex).unlink()

        assert ages(layout, lacking.digest, empty.digest, whole.digest) == {whole.digest: WHEN}
