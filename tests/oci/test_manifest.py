from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import ProtocolError, Refused
from regkit.oci import layout, mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform

CONFIG = Descriptor.of(mediatype.OCI_CONFIG, b"{}")
LAYER = Descriptor.of(mediatype.OCI_LAYER_GZIP, b"layer")
IMAGE: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": mediatype.OCI_MANIFEST,
    "config": CONFIG.to_json(),
    "layers": [LAYER.to_json()],
}
INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": []}


def child(platform: str, content: str = "") -> Descriptor:
    os, architecture, *variant = platform.split("/")
    described = Descriptor.of(mediatype.OCI_MANIFEST, (content or platform).encode())
    return replace(described, platform=Platform(os, architecture, "".join(variant)))


def test_an_image() -> None:
    """An image's configuration, layers and annotations are read from its own bytes, which stay as they came."""
    raw = json.dumps({**IMAGE, "annotations": {"k": "v", "n": 1}, "vendor": [1]}, indent=7).encode()

    manifest = Manifest.parse(raw, f"{mediatype.OCI_MANIFEST}; charset=utf-8")

    assert manifest.raw == raw
    assert manifest.digest == Digest.of(raw)
    assert Descriptor(mediatype.OCI_MANIFEST, Digest.of(raw), len(raw)) == manifest.descriptor
    assert (manifest.config, manifest.layers, manifest.manifests) == (CONFIG, (LAYER,), ())
    assert (manifest.is_index, manifest.annotations) == (False, {"k": "v", "n": "1"})
    assert manifest.document["vendor"] == [1]


def test_an_index() -> None:
    """An index's children are read in order; it has neither configuration nor layers."""
    children = [child("linux/amd64"), child("linux/arm/v6")]
    raw = canonical_json({**INDEX, "manifests": [c.to_json() for c in children]})

    manifest = Manifest.parse(raw, mediatype.OCI_INDEX)

    assert manifest.manifests == tuple(children)
    assert (manifest.is_index, manifest.config, manifest.layers, manifest.blobs) == (True, None, (), ())
    assert manifest.annotations == {}


@given(st.dictionaries(st.text(), st.integers() | st.text()), st.integers(0, 8))
def test_bytes_are_never_written_anew(extra: dict[str, Any], indent: int) -> None:
    """However a manifest is spaced and whatever is in it, its bytes and with them its digest stay."""
    raw = json.dumps({**{f"x-{k}": v for k, v in extra.items()}, **IMAGE}, indent=indent).encode()

    manifest = Manifest.parse(raw)

    assert (manifest.raw, manifest.digest) == (raw, Digest.of(raw))
    assert manifest.config == CONFIG


def test_a_blob_that_is_there_twice_is_needed_once() -> None:
    """An image that lists a layer twice, as of two empty steps, needs it once."""
    raw = canonical_json({**IMAGE, "layers": [LAYER.to_json()] * 2})

    assert Manifest.parse(raw).blobs == (CONFIG, LAYER)


@pytest.mark.parametrize(
    ("document", "served", "expected"),
    [
        pytest.param(IMAGE, mediatype.OCI_MANIFEST, mediatype.OCI_MANIFEST, id="both say the same"),
        pytest.param(IMAGE, None, mediatype.OCI_MANIFEST, id="no header"),
        pytest.param(IMAGE, "application/json", mediatype.OCI_MANIFEST, id="a header that says nothing"),
        pytest.param(IMAGE, "text/plain", mediatype.OCI_MANIFEST, id="a header that is wrong, yet no manifest's"),
        pytest.param({"manifests": []}, None, mediatype.OCI_INDEX, id="an index that says nothing"),
        pytest.param({"layers": []}, None, mediatype.OCI_MANIFEST, id="an image that says nothing"),
        pytest.param({"manifests": []}, mediatype.OCI_INDEX, mediatype.OCI_INDEX, id="only the header"),
        pytest.param({"mediaType": 3}, mediatype.DOCKER_MANIFEST, mediatype.DOCKER_MANIFEST, id="a type that is none"),
        pytest.param({"mediaType": ""}, "application/json", mediatype.OCI_MANIFEST, id="an empty type"),
    ],
)
def test_the_kind_of_a_manifest(document: dict[str, Any], served: str | None, expected: str) -> None:
    """The manifest's own word counts, then the header's, then what its content shows."""
    assert Manifest.parse(canonical_json(document), served).media_type == expected


def test_a_manifest_that_contradicts_its_header_is_refused() -> None:
    """Read as one thing by some clients and as another by others: CVE-2021-41190."""
    with pytest.raises(ProtocolError, match="but was served as"):
        Manifest.parse(canonical_json(IMAGE), mediatype.OCI_INDEX)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(canonical_json({**IMAGE, "manifests": []}), "image and an index at once", id="both kinds"),
        pytest.param(canonical_json({"manifests": [], "config": {}}), "image and an index at once", id="index, config"),
        pytest.param(b'{"layers": [], "layers": []}', "twice", id="a key twice"),
        pytest.param(b'{"layers": [], "Layers": []}', "twice", id="a structural key in two cases"),
        pytest.param(b'{"config": {"digest": "a", "DIGEST": "b"}}', "twice", id="the same deep inside"),
        pytest.param(b"{", "isn't valid JSON", id="broken JSON"),
        pytest.param(b"\xff\xfe\xfd", "isn't valid JSON", id="no text"),
        pytest.param(b"[]", "isn't a JSON object", id="a list"),
        pytest.param(b"[" * 100_000, "isn't valid JSON", id="nested without end"),
        pytest.param(b'{"n": ' + b"9" * 10_000 + b"}", "isn't valid JSON", id="a number without end"),
    ],
)
def test_an_ambiguous_or_broken_manifest_is_refused(raw: bytes, said: str) -> None:
    """What two parsers may read as two things is refused by regkit, as is what isn't JSON."""
    with pytest.raises(ProtocolError, match=said):
        Manifest.parse(raw, mediatype.OCI_MANIFEST)


def test_keys_that_structure_nothing_may_differ_in_case() -> None:
    """Annotations are the user's: `a` and `A` are two of them."""
    raw = canonical_json({**IMAGE, "annotations": {"a": "1", "A": "2"}})

    assert Manifest.parse(raw).annotations == {"a": "1", "A": "2"}


@pytest.mark.parametrize(
    ("document", "attribute"),
    [
        ({**IMAGE, "layers": {}}, "layers"),
        ({**IMAGE, "layers": [5]}, "layers"),
        ({**IMAGE, "config": None}, "config"),
        ({**IMAGE, "layers": [{"mediaType": "x", "digest": "sha256:..", "size": 1}]}, "blobs"),
        ({**INDEX, "manifests": "all"}, "manifests"),
    ],
)
def test_broken_parts_are_the_registrys_fault(document: dict[str, Any], attribute: str) -> None:
    """Each part is a ProtocolError where it is used and can't be read."""
    manifest = Manifest.parse(canonical_json(document))

    with pytest.raises(ProtocolError):
        getattr(manifest, attribute)


def test_absent_lists_are_empty() -> None:
    """An index without `manifests` and an image without `layers` simply have none."""
    assert Manifest(mediatype.OCI_INDEX, b"{}").manifests == ()
    assert Manifest(mediatype.OCI_MANIFEST, b"{}").layers == ()
    assert Manifest(mediatype.OCI_MANIFEST, b'{"annotations": []}').annotations == {}


# Assembling an index

ANNOTATIONS = st.dictionaries(st.text(min_size=1), st.text(), max_size=5)


@given(ANNOTATIONS, st.randoms())
def test_same_input_same_bytes(annotations: dict[str, str], order: Any) -> None:
    """A rerun's index has the same digest: the order in which annotations were given doesn't count."""
    children = [child("linux/amd64"), child("linux/arm64/v8")]
    shuffled = list(annotations.items())
    order.shuffle(shuffled)

    index = assemble_index(children, annotations)

    assert index.raw == assemble_index(iter(children), dict(shuffled)).raw
    assert Manifest.parse(index.raw, index.media_type).manifests == tuple(children)
    assert index.annotations == annotations


def test_children_keep_their_order_and_fields() -> None:
    """Children stand in the order given, each with its variant as written and its unknown fields."""
    children = [child("linux/arm/v7"), replace(child("linux/arm64/v8"), extra={"urls": ["x"]})]

    index = assemble_index(children, {}, mediatype.DOCKER_INDEX)

    document = json.loads(index.raw)
    assert list(document) == ["schemaVersion", "mediaType", "manifests"]
    assert document["mediaType"] == index.media_type == mediatype.DOCKER_INDEX
    assert [entry["platform"]["variant"] for entry in document["manifests"]] == ["v7", "v8"]
    assert document["manifests"][1]["urls"] == ["x"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("linux/amd64", "linux/amd64"), ("linux/arm64", "linux/arm64/v8"), ("linux/arm", "linux/arm/v7")],
)
def test_a_platform_twice_is_refused(one: str, other: str) -> None:
    """The first match wins in an index: a second image for the same machine would be dead."""
    with pytest.raises(ProtocolError, match="two manifests for"):
        assemble_index([child(one, "a"), child(other, "b")], {})


def test_attestations_may_be_many() -> None:
    """`unknown/unknown` and children without a platform may stand there any number of times."""
    children = [child("unknown/unknown", "a"), child("unknown/unknown", "b"), LAYER, LAYER]

    assert assemble_index(children, {}).manifests == tuple(children)


def test_canonical_json_keeps_text_readable() -> None:
    """New bytes are UTF-8, two spaces deep, in the given order."""
    assert canonical_json({"b": "\u00e9", "a": [1]}) == '{\n  "b": "\u00e9",\n  "a": [\n    1\n  ]\n}'.encode()


def test_where_a_layout_keeps_a_digest() -> None:
    """A blob's path is made of a checked digest's two parts alone."""
    digest = Digest.of(b"x")

    assert layout.blob_path(digest).parts == ("blobs", "sha256", digest.hex)


def test_a_referrer() -> None:
    """A manifest with a subject is listed with its artifact type, or its configuration's, and all its annotations."""
    config = Descriptor.of("application/x.config", b"{}")
    document = {"config": config.to_json(), "subject": LAYER.to_json(), "annotations": {"a": "b"}}
    image = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
    typed = Manifest(mediatype.OCI_MANIFEST, canonical_json({**document, "artifactType": "application/x"}))

    assert image.subject == LAYER
    assert image.as_referrer == replace(image.descriptor, artifact_type="application/x.config", annotations={"a": "b"})
    assert typed.artifact_type == "application/x"
    index = assemble_index((), {})
    assert (index.subject, index.artifact_type, index.as_referrer) == (None, None, index.descriptor)


@pytest.mark.parametrize("kind", [mediatype.DOCKER_SCHEMA1, mediatype.DOCKER_SCHEMA1_SIGNED])
def test_schema_1_is_refused_where_its_content_is_wanted(kind: str) -> None:
    """It can be read and shown as bytes, but it describes nothing: a sentence says so."""
    manifest = Manifest.parse(b'{"schemaVersion": 1, "fsLayers": []}', kind)

    with pytest.raises(Refused, match="schema 1"):
        _ = manifest.blobs
