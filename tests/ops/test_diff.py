from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regkit.errors import NotFound, ProtocolError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.layout import blob_path
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform
from regkit.ops.diff import Change, Diff, diff
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from regkit.targets.location import Location
from regkit.transport.session import Session
from tests.ops.support import add_attestation, add_image, add_index, attested_layout, new_layout, release, serving


def compared(root: Path, before: str, after: str, platform: str | None = None) -> Diff:
    """Compare two names of a layout."""
    with Session() as session:
        return diff(
            session,
            Location.parse(f"oci:{root}{before}"),
            Location.parse(f"oci:{root}{after}"),
            Platform.parse(platform) if platform else None,
        )


def built(
    layout: Layout, config: dict[str, Any], layers: Sequence[str], annotations: dict[str, str] | None = None
) -> Descriptor:
    """Put an image with these layers there."""
    raw = canonical_json({"os": "linux", "architecture": "amd64", **config})
    described = [Descriptor.of(mediatype.OCI_CONFIG, raw)]
    layout.push(described[0], Bytes(raw))
    for layer in layers:
        described.append(Descriptor.of(mediatype.OCI_LAYER_GZIP, layer.encode()))
        layout.push(described[-1], Bytes(layer.encode()))
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "config": described[0].to_json(),
        "layers": [layer.to_json() for layer in described[1:]],
        **({"annotations": annotations} if annotations else {}),
    }
    manifest = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
    layout.push(manifest.descriptor, Bytes(manifest.raw))
    return replace(manifest.descriptor, platform=Platform("linux", "amd64"))


def test_the_same_is_equal(tmp_path: Path) -> None:
    """Two names for the same bytes."""
    attested_layout(tmp_path, "linux/amd64")
    digest = Layout(tmp_path).roots[0].digest

    found = compared(tmp_path, ":built", f"@{digest}")

    assert found.equal
    assert [image.equal for image in found.images] == [True]
    assert (found.annotations, found.media_type) == ((), None)


def test_platforms_come_and_go(tmp_path: Path) -> None:
    """What means the same machine is compared with each other; attestations aren't images."""
    with new_layout(tmp_path) as layout:
        arm64, amd64, s390x = (add_image(layout, p) for p in ("linux/arm64", "linux/amd64", "linux/s390x"))
        add_index(layout, [arm64, amd64, add_attestation(layout, amd64)], "1")
        add_index(layout, [replace(arm64, platform=Platform("linux", "arm64", "v8")), s390x], "2")

    found = compared(tmp_path, ":1", ":2")

    assert not found.equal
    assert {image.platform: image.digests for image in found.images} == {
        "linux/arm64": (arm64.digest, arm64.digest),
        "linux/amd64": (amd64.digest, None),
        "linux/s390x": (None, s390x.digest),
    }
    same, gone, come = found.images
    assert same.equal
    assert (gone.added, [layer.size for layer in gone.removed]) == ((), [len("linux/amd64 ")])
    assert (come.removed, len(come.added), come.config, come.annotations) == ((), 1, (), ())
    assert (len(found.before.attestations), found.after.attestations) == (1, ())


def test_layers_and_configuration(tmp_path: Path) -> None:
    """Layers by digest; variables, labels and ports one by one; what the layers tell anyway is left out."""
    before = {
        "created": "1970",
        "history": [1],
        "rootfs": {"diff_ids": ["a"]},
        "config": {
            "Env": ["PATH=/bin", "OLD=1", "SAME=a=b"],
            "Cmd": ["/hello"],
            "Labels": {"a": "1", "b": "2"},
            "User": "root",
        },
    }
    after = {
        "created": "1971",
        "history": [2],
        "rootfs": {"diff_ids": ["b"]},
        "config": {
            "Env": ["PATH=/bin:/usr/bin", "SAME=a=b", "NEW"],
            "Cmd": ["/hello", "-v"],
            "Labels": {"a": "1", "b": "3"},
            "User": "root",
            "ExposedPorts": {"80/tcp": {}},
        },
    }
    with new_layout(tmp_path) as layout:
        add_index(layout, [built(layout, before, ["base", "old"], {"x": "1"})], "1")
        add_index(layout, [built(layout, after, ["base", "new", "newer"], {"x": "2"})], "2")

    (image,) = compared(tmp_path, ":1", ":2").images

    assert [[layer.size for layer in some] for some in (image.shared, image.removed, image.added)] == [[4], [3], [3, 5]]
    assert sorted(image.config, key=lambda change: change.key) == [
        Change("Cmd", ["/hello"], ["/hello", "-v"]),
        Change("Env.NEW", None, ""),
        Change("Env.OLD", "1", None),
        Change("Env.PATH", "/bin", "/bin:/usr/bin"),
        Change("ExposedPorts.80/tcp", None, {}),
        Change("Labels.b", "2", "3"),
        Change("created", "1970", "1971"),
    ]
    assert image.annotations == (Change("x", "1", "2"),)
    document = json.loads(json.dumps(image.to_json()))
    assert [len(document["layers"][key]) for key in ("shared", "removed", "added")] == [1, 1, 2]
    assert {"key": "Env.OLD", "before": "1", "after": None} in document["config"]


def test_annotations(tmp_path: Path) -> None:
    """Those of the index, and those that it gives to an image that is the same."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64")
        given = replace(image, annotations={"y": "1"})
        for tag, index in (("1", assemble_index([image], {"v": "1"})), ("2", assemble_index([given], {"v": "2"}))):
            layout.push(index.descriptor, Bytes(index.raw), tag)

    found = compared(tmp_path, ":1", ":2")

    assert found.annotations == (Change("v", "1", "2"),)
    assert found.images[0].annotations == (Change("index-descriptor:y", None, "1"),)
    assert not found.images[0].equal


def test_an_index_and_an_image(tmp_path: Path) -> None:
    """An image alone is compared with the index's for its platform, as its configuration tells it."""
    attested_layout(tmp_path, "linux/amd64", "linux/arm64")
    arm64 = Layout(tmp_path).manifest("built").manifests[1]

    found = compared(tmp_path, ":built", f"@{arm64.digest}")

    assert found.media_type == Change("mediaType", mediatype.OCI_INDEX, mediatype.OCI_MANIFEST)
    assert [(image.platform, image.equal) for image in found.images] == [
        ("linux/amd64", False),
        ("linux/arm64", True),
    ]
    chosen = compared(tmp_path, ":built", f"@{arm64.digest}", "arm64")
    assert chosen.equal
    assert json.loads(json.dumps(chosen.to_json()))["equal"] is True


def test_windows_versions_and_artifacts(tmp_path: Path) -> None:
    """Images for two versions of a system are two; an artifact has no platform, and no configuration to compare."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "windows/amd64")
        artifact = add_image(layout, "linux/amd64", config=b"\0", config_type="application/x")
        versions = [replace(image, platform=Platform("windows", "amd64", "", v)) for v in ("10.0.1", "10.0.2")]
        add_index(layout, [*versions, replace(artifact, platform=None)], "1")
        strange = add_image(layout, "linux/amd64", "strange", config=b"[]")
        add_index(layout, [replace(strange, platform=None)], "2")

    found = compared(tmp_path, ":1", ":2")

    names = [image.platform for image in found.images]
    assert names == ["windows/amd64 10.0.1", "windows/amd64 10.0.2", "no platform"]
    assert found.images[2].config == ()


def test_what_can_not_be_compared(tmp_path: Path) -> None:
    """A configuration that is missing or broken is named."""
    with new_layout(tmp_path) as layout:
        broken, lost = add_image(layout, "linux/amd64", config=b"{"), add_image(layout, "linux/arm64")
        add_index(layout, [broken], "broken")
        add_index(layout, [lost], "lost")
    config = Layout(tmp_path).manifest(lost.digest).config
    assert config
    (tmp_path / blob_path(config.digest)).unlink()

    with pytest.raises(ProtocolError, match="isn't valid JSON"):
        compared(tmp_path, ":broken", ":broken")
    with pytest.raises(NotFound, match=f"the configuration of {lost.digest} can't be read"):
        compared(tmp_path, ":lost", ":lost")


def test_a_registry_and_a_layout(tmp_path: Path) -> None:
    """The two sides may be of any kind; a release differs from what it was built from by its index."""
    layout = attested_layout(tmp_path, "linux/amd64", "linux/arm64")
    with serving() as served:
        release(served, layout)
        found = diff(served.session, Location.parse(f"oci:{layout}"), Location.parse(f"{served.host}/team/hello:1"))

    assert not found.equal
    assert [image.equal for image in found.images] == [True, True]
    assert "org.opencontainers.image.version" in {change.key for change in found.annotations}
