from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import ProtocolError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.platform import Platform

DIGEST = str(Digest.of(b"content"))
VALID: dict[str, Any] = {"mediaType": mediatype.OCI_MANIFEST, "digest": DIGEST, "size": 7}


def test_all_fields_survive() -> None:
    """What is read is written back: unknown fields (urls, data, a vendor's own) too."""
    data = {
        **VALID,
        "platform": {"architecture": "arm", "os": "linux", "variant": "v6"},
        "annotations": {"k": "v"},
        "artifactType": "text/x",
        "urls": ["https://example.com/x"],
        "data": "Y29udGVudA==",
        "vendor.field": {"deep": [1, None]},
    }

    descriptor = Descriptor.from_json(data)

    assert descriptor.to_json() == data
    assert (descriptor.platform, descriptor.artifact_type) == (Platform("linux", "arm", "v6"), "text/x")


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.integers())))
def test_unknown_fields_survive(extra: dict[str, Any]) -> None:
    """Any field that isn't the specification's comes back as it was."""
    unknown = {k: v for k, v in extra.items() if k not in ("platform", "annotations", "artifactType")}

    assert Descriptor.from_json({**unknown, **VALID}).to_json() == {**unknown, **VALID}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(None, "isn't a JSON object", id="null"),
        pytest.param([VALID], "isn't a JSON object", id="a list"),
        pytest.param({**VALID, "mediaType": None}, "lacks its mediaType", id="no media type"),
        pytest.param({**VALID, "mediaType": 5}, "lacks its mediaType", id="a number for a type"),
        pytest.param({**VALID, "digest": None}, "lacks its mediaType or digest", id="no digest"),
        pytest.param({**VALID, "digest": "sha256:../../x"}, "digest is invalid", id="a path for a digest"),
        pytest.param({**VALID, "size": None}, "no valid size", id="no size"),
        pytest.param({**VALID, "size": "7"}, "no valid size", id="text for a size"),
        pytest.param({**VALID, "size": True}, "no valid size", id="true for a size"),
        pytest.param({**VALID, "size": 7.0}, "no valid size", id="a fraction for a size"),
        pytest.param({**VALID, "size": -1}, "no valid size", id="a negative size"),
        pytest.param({**VALID, "annotations": ["k"]}, "annotations", id="a list of annotations"),
        pytest.param({**VALID, "data": "Y29udGVudA"}, "data that isn't base64", id="data without its end"),
        pytest.param({**VALID, "data": "Y29u\ndGVudA=="}, "data that isn't base64", id="data in lines"),
        pytest.param({**VALID, "data": 7}, "data that isn't base64", id="a number for data"),
        pytest.param({**VALID, "data": "Y29udGVu"}, "carries 6 bytes, and says that it has 7", id="data that is short"),
        pytest.param({**VALID, "data": "Y29udGVuVA=="}, "carries other content", id="data that is something else"),
    ],
)
def test_a_broken_descriptor_is_the_registrys_fault(data: object, said: str) -> None:
    """A required field that is missing or of another type is a ProtocolError, with the field named."""
    with pytest.raises(ProtocolError, match=said):
        Descriptor.from_json(data)


def test_a_platform_or_artifact_type_of_a_wrong_type_counts_as_absent() -> None:
    """Optional fields that can't be read don't keep anybody from reading the rest."""
    descriptor = Descriptor.from_json({**VALID, "platform": "linux/amd64", "artifactType": 3, "annotations": None})

    assert Descriptor(mediatype.OCI_MANIFEST, Digest(DIGEST), 7) == descriptor


@pytest.mark.parametrize(
    ("media_type", "index", "manifest"),
    [
        (mediatype.OCI_INDEX, True, True),
        (mediatype.DOCKER_INDEX, True, True),
        (mediatype.OCI_MANIFEST, False, True),
        (mediatype.DOCKER_MANIFEST, False, True),
        (mediatype.OCI_LAYER_GZIP, False, False),
        ("application/octet-stream", False, False),
    ],
)
def test_what_a_media_type_means(media_type: str, index: bool, manifest: bool) -> None:
    """Indexes and manifests are told from blobs, which registries serve elsewhere."""
    descriptor = Descriptor.of(media_type, b"x")

    assert (descriptor.is_index, descriptor.is_manifest) == (index, manifest)


def test_description_of_bytes() -> None:
    """Bytes at hand are described by their own digest and size."""
    assert Descriptor.of("text/x", b"content") == Descriptor("text/x", Digest(DIGEST), 7)


def test_attestation_names_its_image() -> None:
    """BuildKit's annotations tell which image an attestation belongs to; what has none belongs to nobody."""
    annotations = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": DIGEST}

    assert Descriptor.from_json({**VALID, "annotations": annotations}).attests == DIGEST
    assert Descriptor.from_json(VALID).attests is None
    other = {**annotations, "vnd.docker.reference.type": "something-else"}
    assert Descriptor.from_json({**VALID, "annotations": other}).attests is None


@pytest.mark.parametrize("digest", [{}, {"vnd.docker.reference.digest": "sha256:../x"}])
def test_attestation_without_a_valid_image_is_the_registrys_fault(digest: dict[str, str]) -> None:
    """An attestation that names no image is a broken index, not the user's mistake."""
    annotations = {"vnd.docker.reference.type": "attestation-manifest", **digest}

    with pytest.raises(ProtocolError, match="attestation"):
        _ = Descriptor.from_json({**VALID, "annotations": annotations}).attests


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
        (f" {mediatype.OCI_INDEX} ;v=1;q=2", mediatype.OCI_INDEX),
        ("", ""),
    ],
)
def test_essence_of_a_content_type(content_type: str, expected: str) -> None:
    """Parameters, case and blanks of a Content-Type don't count."""
    assert mediatype.essence(content_type) == expected


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_content_that_a_descriptor_carries(algorithm: str) -> None:
    """It is given as bytes; nothing, or none, is as good as no field."""
    digest = str(Digest.of(b"content", algorithm))

    assert Descriptor.from_json({**VALID, "digest": digest, "data": "Y29udGVudA=="}).data == b"content"
    for absent in ({}, {"data": None}, {"data": ""}):
        assert Descriptor.from_json({**VALID, **absent}).data is None
