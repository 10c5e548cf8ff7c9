"""The walk, over layouts and registries."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.errors import ContentMismatch, NotFound, ProtocolError, Refused
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.ops import graph
from regkit.ops.graph import Node, read_node, walk
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from regkit.targets.repository import Repository
from tests.ops.support import add_attestation, add_image, add_index, new_layout, serving


def test_every_manifest_comes_once_and_after_what_it_lists(tmp_path: Path) -> None:
    """An image that two indexes share is read once; nested indexes come after their children, and before parents."""
    with new_layout(tmp_path) as layout:
        shared, other = add_image(layout, "linux/amd64"), add_image(layout, "linux/arm64")
        inner = add_index(layout, [shared])
        outer = add_index(layout, [shared, inner.descriptor, other], "outer")

        found = walk(layout, [read_node(layout, "outer")])

    order = [node.descriptor.digest for node in found.nodes]
    assert sorted(order) == sorted({shared.digest, other.digest, inner.digest, outer.digest})
    assert order.index(shared.digest) < order.index(inner.digest) < order.index(outer.digest)
    assert [len(level) for level in found.levels] == [2, 1, 1]


def test_a_registry_is_asked_for_each_manifest_once(tmp_path: Path) -> None:
    """Two tags over the same images cost no request more than their own indexes."""
    with new_layout(tmp_path) as layout, serving() as served:
        images = [add_image(layout, platform) for platform in ("linux/amd64", "linux/arm64")]
        repository = Repository(served.session, served.reference())
        for image in images:
            for blob in layout.manifest(image.digest).blobs:
                repository.push(blob, layout.fetch(blob))
            repository.push(image, Bytes(layout.manifest(image.digest).raw))
        for tag, children in (("a", images), ("b", images[::-1])):
            index = assemble_index(children, {})
            repository.push(index.descriptor, Bytes(index.raw), tag)
        roots = [read_node(repository, tag) for tag in ("a", "b")]
        served.access.clear()

        found = walk(repository, roots)

        assert len(found.nodes) == 4
        asked = Counter(f"{each.method} {each.path}" for each in served.access)
        assert asked == {f"GET /v2/team/hello/manifests/{image.digest}": 1 for image in images}


def test_referrers_are_followed_as_far_as_they_go(tmp_path: Path) -> None:
    """A signature of a child, and what signs the signature, belong to what is walked; without being asked, neither."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64")
        add_index(layout, [image], "index")
        signature = _referrer(layout, image, "signature")
        counter = _referrer(layout, signature, "counter-signature")

        root = read_node(layout, "index")

        with_them = {node.descriptor.digest for node in walk(layout, [root], referrers=True).nodes}
        without = {node.descriptor.digest for node in walk(layout, [root]).nodes}
    assert with_them == without | {signature.digest, counter.digest}
    assert len(without) == 2


def test_blobs_are_all_that_is_no_manifest() -> None:
    """A layer that calls itself a manifest is a blob; an index's entry of an unknown type is one too."""
    layer = Descriptor.of(mediatype.OCI_MANIFEST, b"{}")
    config = Descriptor.of(mediatype.OCI_EMPTY, b"{} ")
    document = {"schemaVersion": 2, "config": config.to_json(), "layers": [layer.to_json()]}
    artifact = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
    unknown = Descriptor.of("application/vnd.example.wasm", b"wasm")
    index = assemble_index([artifact.descriptor, unknown], {})

    assert Node(artifact.descriptor, artifact).blobs == (config, replace(layer, media_type="application/octet-stream"))
    assert Node(index.descriptor, index).blobs == (unknown,)
    assert Node(index.descriptor, index).children == (artifact.descriptor,)


def test_a_missing_child_is_named(tmp_path: Path) -> None:
    """What an index promises and its place doesn't hold ends the walk."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64")
        add_index(layout, [image], "index")
        layout.delete(image)

        with pytest.raises(NotFound, match=image.digest):
            walk(layout, [read_node(layout, "index")])


def test_a_child_of_another_size_is_refused(tmp_path: Path) -> None:
    """The size in an index is a promise like the digest."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64")
        add_index(layout, [replace(image, size=image.size + 1)], "index")

        with pytest.raises(ContentMismatch, match="bytes, not"):
            walk(layout, [read_node(layout, "index")])


def test_the_depth_is_bounded(tmp_path: Path) -> None:
    """Indexes within indexes without end are no reason to read without end."""
    with new_layout(tmp_path) as layout:
        child = add_image(layout, "linux/amd64")
        for _ in range(graph.MAX_DEPTH + 1):
            child = add_index(layout, [child]).descriptor

        with pytest.raises(ProtocolError, match="deep"):
            walk(layout, [read_node(layout, child.digest)])
        with pytest.raises(ProtocolError, match="deep"):
            walk(layout, _chain(layout, child))


def test_the_number_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No index, and no pile of tags, fills the memory."""
    monkeypatch.setattr(graph, "MAX_MANIFESTS", 2)
    with new_layout(tmp_path) as layout:
        add_index(layout, [add_image(layout, p) for p in ("linux/amd64", "linux/arm64")], "index")

        with pytest.raises(ProtocolError, match="more than 2 manifests"):
            walk(layout, [read_node(layout, "index")])


@pytest.mark.parametrize(
    ("media_type", "said"),
    [
        (mediatype.DOCKER_SCHEMA1_SIGNED, "schema 1"),
        (mediatype.DOCKER_SCHEMA1, "schema 1"),
        ("application/vnd.oci.artifact.manifest.v1+json", r"application/vnd\.oci\.artifact"),
    ],
)
def test_what_cant_be_taken_along_is_refused_by_name(tmp_path: Path, media_type: str, said: str) -> None:
    """Docker's first schema, and manifests that no registry of today takes, are named, and nothing is guessed."""
    with new_layout(tmp_path) as layout:
        old = Manifest(media_type, canonical_json({"schemaVersion": 1, "mediaType": media_type, "name": "a"}))
        layout.push(replace(old.descriptor, media_type=media_type), Bytes(old.raw), "old")

        with pytest.raises(Refused, match=said):
            read_node(layout, "old")


def test_a_digest_of_another_algorithm_stays_what_it_is(tmp_path: Path) -> None:
    """An image that an index names by sha512 is walked, and keeps that name."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64")
        raw = layout.manifest(image.digest).raw
        named = replace(image, digest=Digest.of(raw, "sha512"))
        layout.push(named, Bytes(raw))
        add_index(layout, [named], "index")

        found = walk(layout, [read_node(layout, "index")])

    assert [node.descriptor for node in found.levels[0]] == [named]


def test_an_attestation_is_a_child_like_any_other(tmp_path: Path) -> None:
    """What BuildKit adds to an index is found with it."""
    with new_layout(tmp_path) as layout:
        image = add_image(layout, "linux/amd64")
        attestation = add_attestation(layout, image)
        add_index(layout, [image, attestation], "index")

        assert attestation in [node.descriptor for node in walk(layout, [read_node(layout, "index")]).nodes]


def _referrer(layout: Layout, subject: Descriptor, kind: str) -> Descriptor:
    empty = Descriptor.of(mediatype.OCI_EMPTY, b"{}")
    layout.push(empty, Bytes(b"{}"))
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "artifactType": f"application/vnd.example.{kind}",
        "config": empty.to_json(),
        "layers": [empty.to_json()],
        "subject": Descriptor(subject.media_type, subject.digest, subject.size).to_json(),
    }
    manifest = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
    layout.push(manifest.descriptor, Bytes(manifest.raw))
    return manifest.descriptor


def _chain(layout: Layout, outermost: Descriptor) -> list[Node]:
    """Give every index of a chain as a root of its own."""
    nodes = [read_node(layout, outermost.digest)]
    while nodes[-1].children:
        nodes.append(read_node(layout, nodes[-1].children[0].digest))
    return nodes
