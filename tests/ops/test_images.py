from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from regkit.errors import ContentMismatch, NotFound, ProtocolError, UsageError
from regkit.oci.annotation import REF_NAME
from regkit.oci.platform import Platform, parse_platforms
from regkit.ops.graph import MAX_DEPTH
from regkit.ops.images import Content, Image, Origin
from regkit.targets.layout import Layout
from tests.ops.support import add_attestation, add_image, add_index, attested_layout, new_layout


def read(root: Path, asked: str = "") -> tuple[Image, ...]:
    layout = Layout(root)
    return Content.read([Origin.of(str(root), layout, layout.roots)], parse_platforms([asked])).images


def test_what_buildkit_exports(tmp_path: Path) -> None:
    """Every image of an index comes with its own attestations, in the index's order."""
    attested_layout(tmp_path, "linux/amd64", "linux/arm64")

    found = read(tmp_path)

    assert [str(image.platform) for image in found] == ["linux/amd64", "linux/arm64"]
    for image in found:
        assert [piece.descriptor.attests for piece in image.attestations] == [image.descriptor.digest]
        assert [piece.manifest.digest for piece in image.pieces] == [p.descriptor.digest for p in image.pieces]


def test_variants_are_written_as_asked(tmp_path: Path) -> None:
    """BuildKit's `arm64` and `arm/v7` are listed as `arm64/v8` and `arm` where that is asked for, in that order."""
    attested_layout(tmp_path, "linux/amd64", "linux/arm64", "linux/arm/v7")

    found = read(tmp_path, "linux/arm,linux/arm64/v8")

    assert [str(image.descriptor.platform) for image in found] == ["linux/arm", "linux/arm64/v8"]
    assert all(image.piece.manifest.digest == image.descriptor.digest for image in found)


def test_a_missing_platform(tmp_path: Path) -> None:
    """What was asked for and isn't there is named, with what there is."""
    attested_layout(tmp_path, "linux/amd64", "linux/arm64")

    with pytest.raises(NotFound, match="no image for linux/s390x") as caught:
        read(tmp_path, "linux/amd64,linux/s390x")
    assert caught.value.hint is not None
    assert "linux/amd64" in caught.value.hint


def test_a_single_manifest(tmp_path: Path) -> None:
    """A root that is an image, without a platform: its configuration tells it; the layout's own name stays behind."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/arm/v6")
        manifest = layout.manifest(image.digest)
        layout.push(replace(manifest.descriptor, annotations={"kept": "x"}), layout.fetch(manifest.descriptor), "built")
    assert REF_NAME in Layout(tmp_path).roots[0].annotations

    (found,) = read(tmp_path)

    assert found.platform == Platform("linux", "arm", "v6")
    assert (found.descriptor.digest, found.descriptor.annotations) == (image.digest, {"kept": "x"})
    assert found.attestations == ()


def test_nested_indexes_and_several_roots(tmp_path: Path) -> None:
    """Indexes in indexes, and more than one root, are one set of images; the same image twice is one."""
    with new_layout(tmp_path) as layout:
        amd64, arm64 = add_image(layout, "linux/amd64"), add_image(layout, "linux/arm64")
        inner = add_index(layout, [amd64])
        add_index(layout, [inner.descriptor, arm64], "outer")
        add_index(layout, [amd64], "again")

    assert {str(image.platform) for image in read(tmp_path)} == {"linux/amd64", "linux/arm64"}


def test_indexes_nested_without_end(tmp_path: Path) -> None:
    """A chain of indexes has an end."""
    with new_layout(tmp_path) as layout:
        descriptor = add_image(layout, "linux/amd64")
        for _ in range(MAX_DEPTH):
            descriptor = add_index(layout, [descriptor]).descriptor
        add_index(layout, [descriptor], "deep")

    with pytest.raises(ProtocolError, match="nested more than"):
        read(tmp_path)


def test_two_images_for_one_machine(tmp_path: Path) -> None:
    """Which of the two is meant can't be known."""
    with new_layout(tmp_path) as layout:
        add_index(layout, [add_image(layout, "linux/arm64", "one")], "a")
        add_index(layout, [add_image(layout, "linux/arm64/v8", "two")], "b")

    with pytest.raises(UsageError, match=r"two images for linux/arm64/v8: sha256:\w+ in .* and sha256:"):
        read(tmp_path)


def test_an_attestation_of_an_image_that_is_not_asked_for(tmp_path: Path) -> None:
    """An attestation goes where its image goes, and nowhere else."""
    with new_layout(tmp_path) as layout:
        amd64, arm64 = add_image(layout, "linux/amd64"), add_image(layout, "linux/arm64")
        two = [add_attestation(layout, amd64, "sbom"), add_attestation(layout, amd64, "provenance")]
        add_index(layout, [amd64, *two, arm64, add_attestation(layout, arm64)], "built")

    (found,) = read(tmp_path, "linux/amd64")

    assert [piece.descriptor for piece in found.attestations] == two


@pytest.mark.parametrize("config", [b"[]", b"{}", b'{"os": "linux"}', b'"text"', b"no JSON", b"\xff", b"[" * 100_000])
def test_an_image_that_does_not_tell_its_platform(tmp_path: Path, config: bytes) -> None:
    """An image of which nobody says what it is for can't be listed."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64", config=config)
        add_index(layout, [replace(image, platform=None)], "built")

    with pytest.raises(ProtocolError, match="doesn't tell its platform"):
        read(tmp_path)


def test_nothing(tmp_path: Path) -> None:
    """An empty layout holds no images, and lacks every platform."""
    with new_layout(tmp_path):
        pass

    with pytest.raises(NotFound, match="there are no images in"):
        read(tmp_path)
    with pytest.raises(NotFound) as caught:
        read(tmp_path, "linux/amd64")
    assert caught.value.hint == "there are: none"


def test_windows_images_that_differ_in_their_system_version(tmp_path: Path) -> None:
    """`windows/amd64` is all of them: which one runs is decided by the host's version."""
    with new_layout(tmp_path) as layout:
        images = [
            replace(
                add_image(layout, "windows/amd64", version),
                platform=Platform("windows", "amd64", os_version=version),
            )
            for version in ("10.0.17763.1", "10.0.20348.1")
        ]
        add_index(layout, [add_image(layout, "linux/amd64"), *images], "built")

    assert [image.descriptor for image in read(tmp_path, "windows/amd64")] == images
    assert len(read(tmp_path)) == 3


def test_an_image_and_its_attestation_from_two_places(tmp_path: Path) -> None:
    """An image that is named by itself, and the index that also holds its attestation: one image, with it."""
    with new_layout(tmp_path / "index") as layout:
        image = add_image(layout, "linux/amd64")
        attestation = add_attestation(layout, image)
        add_index(layout, [image, attestation], "built")
    with new_layout(tmp_path / "alone") as layout:
        add_index(layout, [add_image(layout, "linux/amd64")], "built")

    places = [Layout(tmp_path / name) for name in ("alone", "index")]
    (found,) = Content.read([Origin.of(place.name, place, place.roots) for place in places]).images

    assert [piece.descriptor for piece in found.attestations] == [attestation]
    assert [piece.origin for piece in found.pieces] == places


def test_a_manifest_of_another_size(tmp_path: Path) -> None:
    """A descriptor that lies about the size is found before anything is sent."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64")
        add_index(layout, [replace(image, size=image.size + 1)], "built")

    with pytest.raises(ContentMismatch, match="isn't what is said of it"):
        read(tmp_path)
