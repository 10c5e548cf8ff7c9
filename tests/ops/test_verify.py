from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.errors import NotFound
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.layout import INDEX, blob_path
from regkit.oci.manifest import Manifest, canonical_json
from regkit.oci.platform import Platform, parse_platforms
from regkit.ops.verify import Verification, verify
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from regkit.targets.location import Location
from regkit.targets.repository import Repository
from regkit.transport.session import Session
from tests.ops.support import (
    add_attestation,
    add_image,
    add_index,
    attested_layout,
    new_layout,
    release,
    serving,
)

GONE = Descriptor(mediatype.OCI_MANIFEST, Digest("sha256:" + "0" * 64), 100)


def looked_at(root: Path, *platforms: str, read_blobs: bool = False) -> Verification:
    """Verify a layout's only entry."""
    with Session() as session:
        return verify(session, Location.parse(f"oci:{root}"), parse_platforms(platforms), read_blobs=read_blobs)


def lines(found: Verification) -> list[str]:
    """Give the findings as they are written."""
    return [str(finding) for finding in found.findings]


def put_file(root: Path, raw: bytes, media_type: str = mediatype.OCI_MANIFEST) -> Descriptor:
    """Put content into a layout as its file, whatever it is."""
    descriptor = Descriptor.of(media_type, raw)
    (root / blob_path(descriptor.digest)).write_bytes(raw)
    return descriptor


def index_of(root: Path, children: object) -> Descriptor:
    """Make an index that nobody should write the layout's only entry."""
    raw = canonical_json({"mediaType": mediatype.OCI_INDEX, "manifests": children})
    index = put_file(root, raw, mediatype.OCI_INDEX)
    (root / INDEX).write_bytes(canonical_json({"schemaVersion": 2, "manifests": [index.to_json()]}))
    return index


def listing(root: Path, *children: Descriptor) -> Descriptor:
    """Make an index of these the layout's only entry."""
    return index_of(root, [child.to_json() for child in children])


def image_of(root: Path, document: dict[str, object]) -> Descriptor:
    """Put a manifest there that nobody should write; give it as an index would describe it."""
    image = put_file(root, canonical_json({"schemaVersion": 2, "mediaType": mediatype.OCI_MANIFEST, **document}))
    return replace(image, platform=Platform("linux", "amd64"))


def test_a_release_that_is_whole(tmp_path: Path) -> None:
    """Everything is counted once, and nothing is found; with the blobs read as well."""
    attested_layout(tmp_path, "linux/amd64", "linux/arm64")

    for read_blobs in (False, True):
        found = looked_at(tmp_path, "linux/arm64/v8", "amd64", read_blobs=read_blobs)
        assert (found.good, found.findings) == (True, ())
        assert [str(platform) for platform in found.platforms] == ["linux/amd64", "linux/arm64"]
        assert (found.manifests, found.blobs) == (5, 7)


def test_an_image_alone(tmp_path: Path) -> None:
    """Its configuration says which platform it is for."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/arm/v7")
    with Session() as session:
        found = verify(session, Location.parse(f"oci:{tmp_path}@{image.digest}"), parse_platforms(["arm"]))

    assert (found.good, found.findings, found.manifests, found.blobs) == (True, (), 1, 2)
    assert found.to_json()["platforms"] == ["linux/arm/v7"]


def test_platforms_are_exactly_those_expected(tmp_path: Path) -> None:
    """One that is missing is wrong, and so is one that nobody asked for."""
    attested_layout(tmp_path, "linux/amd64", "linux/arm64")

    assert lines(looked_at(tmp_path, "linux/amd64", "linux/arm/v6")) == [
        "wrong: linux/arm/v6: there is no image for this platform",
        "wrong: linux/arm64: an image for a platform that isn't expected",
    ]


@pytest.mark.parametrize(
    ("listed", "config", "said"),
    [
        ("linux/arm64/v8", {"os": "linux", "architecture": "arm64"}, "note: {}: the index says linux/arm64/v8, the"),
        ("linux/arm/v6", {"os": "linux", "architecture": "arm"}, "wrong: {}: the index says linux/arm/v6, the"),
        ("linux/amd64", {"os": "linux", "architecture": "arm64"}, "wrong: {}: the index says linux/amd64, the"),
        ("windows/amd64", {"os": "linux", "architecture": "amd64"}, "wrong: {}: the index says windows/amd64, the"),
        ("linux/amd64", {"architecture": "amd64"}, "note: {}: the configuration names no platform"),
        ("linux/amd64", {"os": "linux", "architecture": "amd64", "variant": "v1"}, "note: {}: the index says"),
        ("linux/amd64", [], "wrong: {}: the configuration sha256:"),
        (
            "linux/amd64",
            {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}},
            "wrong: {}: the manifest has 1 layers, the configuration 0",
        ),
    ],
)
def test_the_configuration_beside_the_index(tmp_path: Path, listed: str, config: object, said: str) -> None:
    """What means the same machine is a note at most, what doesn't is wrong."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, listed, config=canonical_json(config))
    listing(tmp_path, image)

    (line,) = lines(looked_at(tmp_path))
    assert line.startswith(said.format(listed))


def test_windows_versions_are_compared(tmp_path: Path) -> None:
    """Where both tell one."""
    config = {"os": "windows", "architecture": "amd64", "os.version": "10.0.1"}
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "windows/amd64", config=canonical_json(config))
        versions = [Platform("windows", "amd64", "", version) for version in ("10.0.1", "10.0.2", "")]
    listing(tmp_path, *(replace(image, platform=platform) for platform in versions))

    assert lines(looked_at(tmp_path)) == [
        "wrong: windows/amd64: the index says os.version 10.0.2, the configuration 10.0.1"
    ]


def test_what_an_index_says_by_itself(tmp_path: Path) -> None:
    """A platform twice, also in two spellings; an attestation of nothing, or that names nothing."""
    with new_layout(tmp_path) as layout:
        one, two = add_image(layout, "linux/arm64", "1"), add_image(layout, "linux/arm64", "2")
        twin = replace(two, platform=Platform("linux", "arm64", "v8"))
        lost = add_attestation(layout, replace(GONE, platform=one.platform))
        broken = replace(lost, annotations={**lost.annotations, "vnd.docker.reference.digest": "nothing"})
    listing(tmp_path, one, two, twin, lost, broken)

    broken_name = f"attestation {lost.digest.short}"
    assert [line for line in lines(looked_at(tmp_path)) if line.startswith("wrong")] == [
        f"wrong: linux/arm64: the platform stands in the index twice: {two.digest.short}",
        f"wrong: linux/arm64/v8: the platform stands in the index twice (linux/arm64): {two.digest.short}",
        f"wrong: attestation {lost.digest.short}: it attests {GONE.digest}, which the index doesn't list",
        f"wrong: {broken_name}: the attestation {lost.digest} names no image: not a digest: 'nothing'",
    ]


def test_an_index_in_an_index(tmp_path: Path) -> None:
    """It's a note, and what it lists is looked at too; it may even come round again."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64")
        inner = add_index(layout, [image, replace(GONE, platform=Platform("linux", "arm64"))])
    listing(tmp_path, inner.descriptor, image)

    assert lines(looked_at(tmp_path)) == [
        f"wrong: linux/arm64: the manifest {GONE.digest} isn't there",
        f"note: {inner.digest.short}: an index in an index: some clients don't look into it",
    ]


def test_a_child_that_is_another_than_the_index_says(tmp_path: Path) -> None:
    """Its size and its media type are compared; a child of no platform is told."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64")
    listing(tmp_path, replace(image, size=7, media_type=mediatype.DOCKER_MANIFEST, platform=None))

    where = image.digest.short
    assert lines(looked_at(tmp_path)) == [
        f"wrong: {where}: the manifest {image.digest} has {image.size} bytes, the index says 7",
        f"wrong: {where}: the manifest is {mediatype.OCI_MANIFEST}, the index says {mediatype.DOCKER_MANIFEST}",
        f"note: {where}: the index doesn't say that this is linux/amd64",
    ]


def test_a_child_that_is_a_blob(tmp_path: Path) -> None:
    """An index may list any content: what isn't a manifest is looked for among the blobs."""
    with new_layout(tmp_path) as layout:
        add_image(layout, "linux/amd64")
    there, gone = put_file(tmp_path, b"text", "text/plain"), Descriptor.of("text/plain", b"gone")
    listing(tmp_path, there, gone)

    found = looked_at(tmp_path, read_blobs=True)
    assert lines(found) == [f"wrong: {gone.digest.short}: the blob {gone.digest} of 4 bytes isn't there"]
    assert (found.manifests, found.blobs) == (1, 2)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"layers": []}, "a descriptor isn't a JSON object"),
        ({"config": GONE.to_json(), "layers": {}}, "has 'layers' that aren't a list"),
    ],
)
def test_a_child_that_can_not_be_read(tmp_path: Path, document: dict[str, object], said: str) -> None:
    """It's a finding among others."""
    with new_layout(tmp_path) as layout:
        other = add_image(layout, "linux/arm64")
    listing(tmp_path, image_of(tmp_path, document), other)

    (line,) = lines(looked_at(tmp_path))
    assert line.startswith("wrong: linux/amd64: ")
    assert said in line


def test_a_child_that_is_no_manifest(tmp_path: Path) -> None:
    """A broken document, or one with other bytes than its digest's."""
    with new_layout(tmp_path) as layout:
        spoilt = add_image(layout, "linux/arm64")
    broken = put_file(tmp_path, b"{")
    nested = put_file(
        tmp_path, canonical_json({"mediaType": mediatype.OCI_INDEX, "manifests": [{}]}), mediatype.OCI_INDEX
    )
    listing(tmp_path, replace(broken, platform=Platform("linux", "amd64")), spoilt, nested)
    (tmp_path / blob_path(spoilt.digest)).write_bytes(b"{}" + b" " * (spoilt.size - 2))

    first, second, third = lines(looked_at(tmp_path))
    assert first.startswith(f"wrong: linux/amd64: the manifest {broken.digest} isn't ")
    assert second.startswith("wrong: linux/arm64: ")
    assert spoilt.digest in second
    assert third == f"wrong: {nested.digest.short}: a descriptor lacks its mediaType or digest"


def test_an_index_that_can_not_be_read_at_all(tmp_path: Path) -> None:
    """What is named is there, so that is a finding too."""
    with new_layout(tmp_path) as layout:
        add_image(layout, "linux/amd64")
    index = index_of(tmp_path, {})

    assert lines(looked_at(tmp_path)) == [
        f"wrong: {index.digest.short}: the manifest {index.digest} has 'manifests' that aren't a list"
    ]


def test_blobs_that_are_not_what_they_should_be(tmp_path: Path) -> None:
    """A missing one and one of another size are seen at once, one with another content where it's read."""
    attested_layout(tmp_path, "linux/amd64", "linux/arm64", "linux/arm/v7")
    layout = Layout(tmp_path)
    images = [layout.manifest(child.digest) for child in layout.manifest("built").manifests[:3]]
    lost, short, spoilt = (image.layers[0] for image in images)
    (tmp_path / blob_path(lost.digest)).unlink()
    (tmp_path / blob_path(short.digest)).write_bytes(b"")
    (tmp_path / blob_path(spoilt.digest)).write_bytes(b"!" * spoilt.size)

    quick = lines(looked_at(tmp_path))
    assert quick == [
        f"wrong: linux/amd64: the blob {lost.digest} of {lost.size} bytes isn't there",
        f"wrong: linux/arm64: the blob {short.digest} of {short.size} bytes isn't there",
    ]
    *others, last = lines(looked_at(tmp_path, read_blobs=True))
    assert others == quick
    assert last.startswith(f"wrong: linux/arm/v7: the blob {spoilt.digest} ")
    assert "has the digest" in last


@pytest.mark.parametrize("config", [b"{", b"[" * 100_000])
def test_configurations_that_are_not_what_they_should_be(tmp_path: Path, config: bytes) -> None:
    """Broken JSON, other bytes, or nothing at all: each is told once."""
    with new_layout(tmp_path) as layout:
        images = [add_image(layout, "linux/amd64", config=config), *(add_image(layout, p) for p in ("arm64", "386"))]
    listing(tmp_path, *images)
    spoilt, lost = (Layout(tmp_path).manifest(image.digest).config for image in images[1:])
    assert spoilt
    assert lost
    (tmp_path / blob_path(spoilt.digest)).write_bytes(b"!" * spoilt.size)
    (tmp_path / blob_path(lost.digest)).unlink()

    first, second, third = lines(looked_at(tmp_path))
    assert first == f"wrong: linux/amd64: the configuration {Digest.of(config)} isn't valid JSON"
    assert second.startswith(f"wrong: linux/arm64: the blob {spoilt.digest} ")
    assert third == f"wrong: linux/386: the blob {lost.digest} of {lost.size} bytes isn't there"


def test_a_layer_that_is_kept_elsewhere(tmp_path: Path) -> None:
    """Windows' base layers say where else they are; that they are missing here is by design."""
    with new_layout(tmp_path) as layout:
        config = Descriptor.of(mediatype.OCI_CONFIG, b'{"os": "linux", "architecture": "amd64"}')
        layout.push(config, Bytes(b'{"os": "linux", "architecture": "amd64"}'))
        foreign = {**GONE.to_json(), "mediaType": "application/x", "urls": ["https://example.test/layer"]}
    listing(tmp_path, image_of(tmp_path, {"config": config.to_json(), "layers": [foreign]}))

    assert lines(looked_at(tmp_path, read_blobs=True)) == [
        f"note: linux/amd64: the layer {GONE.digest.short} is kept elsewhere by design"
    ]


def test_an_artifact(tmp_path: Path) -> None:
    """What is no image has no platform to compare."""
    with new_layout(tmp_path) as layout:
        artifact = add_image(layout, "linux/amd64", config=b"\0", config_type="application/vnd.example.config")
    listing(tmp_path, replace(artifact, platform=None))

    found = looked_at(tmp_path)
    assert (found.findings, found.platforms) == ((), ())


def test_a_registry(tmp_path: Path) -> None:
    """A release is looked at without writing, and without reading a layer; what is lost there is found."""
    layout = attested_layout(tmp_path, "linux/amd64", "linux/arm64")
    with serving() as served:
        release(served, layout)
        served.access.clear()
        location = Location.parse(f"{served.host}/team/hello:1")

        assert verify(served.session, location).good
        read = [request.path for request in served.access if request.method == "GET" and "/blobs/" in request.path]
        assert (served.writes, len(read)) == ([], 2)
        assert verify(served.session, location, read_blobs=True).good
        with pytest.raises(NotFound):
            verify(served.session, Location.parse(f"{served.host}/team/hello:9"))


def test_what_a_manifest_refers_to(tmp_path: Path) -> None:
    """A subject that isn't there is a note, told once; one that is there, or listed, is none; a broken one is wrong."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64")
        beside = add_image(layout, "linux/arm64")
    config = {"config": Descriptor.of(mediatype.OCI_EMPTY, b"{}").to_json(), "layers": []}
    put_file(tmp_path, b"{}", mediatype.OCI_EMPTY)
    referring = [
        image_of(tmp_path, {**config, "subject": subject.to_json(), "annotations": {"n": str(number)}})
        for number, subject in enumerate((image, beside, GONE, GONE))
    ]
    broken = image_of(tmp_path, {**config, "subject": {"digest": "x"}})
    plain = [replace(child, platform=None) for child in (*referring, broken)]
    listing(tmp_path, image, *plain)

    found = looked_at(tmp_path)

    assert lines(found) == [
        f"wrong: {broken.digest.short}: it has a broken subject: a descriptor lacks its mediaType or digest",
        f"note: {referring[3].digest.short}: it refers to {GONE.digest}, which isn't there",
    ]


@pytest.mark.parametrize(
    ("kind", "config_type", "odd"),
    [
        (mediatype.OCI_MANIFEST, mediatype.OCI_CONFIG, False),
        (mediatype.OCI_MANIFEST, mediatype.DOCKER_CONFIG, True),
        (mediatype.DOCKER_MANIFEST, mediatype.OCI_CONFIG, True),
        (mediatype.DOCKER_MANIFEST, mediatype.DOCKER_CONFIG, False),
    ],
)
def test_a_manifest_and_a_configuration_of_different_kinds(
    tmp_path: Path, kind: str, config_type: str, odd: bool
) -> None:
    """It is a note: registries take it, some clients don't."""
    with new_layout(tmp_path) as layout:
        add_image(layout, "linux/amd64")
    config = put_file(tmp_path, canonical_json({"os": "linux", "architecture": "amd64"}), config_type)
    raw = canonical_json({"schemaVersion": 2, "mediaType": kind, "config": config.to_json(), "layers": []})
    image = replace(put_file(tmp_path, raw, kind), platform=Platform("linux", "amd64"))
    listing(tmp_path, image)

    found = looked_at(tmp_path)

    note = f"note: linux/amd64: the manifest is {kind}, its configuration {config_type}: some clients refuse that"
    assert lines(found) == ([note] if odd else [])


def test_content_that_only_a_descriptor_carries() -> None:
    """What counts is whether the place has it: a blob that is only in the manifest isn't there."""
    raw = canonical_json({"os": "linux", "architecture": "amd64"})
    config = replace(Descriptor.of(mediatype.OCI_CONFIG, raw), extra={"data": base64.b64encode(raw).decode()})
    document = {"schemaVersion": 2, "mediaType": mediatype.OCI_MANIFEST, "config": config.to_json(), "layers": []}
    image = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
    with serving() as served:
        repository = Repository(served.session, served.reference())
        repository.push(config, Bytes(raw))
        repository.push(image.descriptor, Bytes(image.raw))
        assert repository.delete(config)

        for read_blobs in (False, True):
            location = Location.parse(f"{repository.name}@{image.digest}")
            found = verify(served.session, location, read_blobs=read_blobs)
            wrong = [str(finding) for finding in found.findings if finding.wrong]
            assert wrong == [
                f"wrong: {image.digest.short}: the blob {config.digest} of {config.size} bytes isn't there"
            ]
