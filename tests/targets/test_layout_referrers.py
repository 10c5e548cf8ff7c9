from __future__ import annotations

from pathlib import Path

import pytest

from regkit.oci import layout, mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout

DATA = b"{ but no manifest"
BLOB = Descriptor.of(mediatype.OCI_LAYER_GZIP, DATA)
INDEX = assemble_index((), {"k": "v"})


def referrer(**fields: object) -> Manifest:
    document = {"mediaType": mediatype.OCI_MANIFEST, "subject": INDEX.descriptor.to_json(), "layers": [], **fields}
    return Manifest(mediatype.OCI_MANIFEST, canonical_json({k: v for k, v in document.items() if v is not None}))


@pytest.fixture
def target(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout", create=True)


def test_referrers(target: Layout) -> None:
    """What refers to a manifest is found, named or not, with its type and its annotations, and nothing else is."""
    signature = referrer(artifactType="application/x.signature", annotations={"by": "me"})
    bom = referrer(config={**BLOB.to_json(), "mediaType": "application/x.bom"})
    others = [referrer(subject=BLOB.to_json()), referrer(subject={"digest": "?"}), referrer(mediaType="x"), INDEX]
    for manifest in (signature, bom, *others):
        target.push(manifest.descriptor, Bytes(manifest.raw))
    target.push(BLOB, Bytes(DATA))
    (target.root / layout.BLOBS / "sha256" / ".partial-1").write_bytes(signature.raw)

    assert {d.digest: (d.artifact_type, dict(d.annotations)) for d in target.referrers(INDEX.digest)} == {
        signature.digest: ("application/x.signature", {"by": "me"}),
        bom.digest: ("application/x.bom", {}),
    }
    assert [d.digest for d in target.referrers(INDEX.digest, "application/x.bom")] == [bom.digest]
    assert target.referrers(Digest.of(b"x")) == ()


def test_a_referrer_under_another_algorithm(target: Layout) -> None:
    """A referrer is listed under the digest that it has in the layout."""
    manifest = referrer(artifactType="x")
    digest = Digest.of(manifest.raw, "sha512")
    target.push(Descriptor(mediatype.OCI_MANIFEST, digest, len(manifest.raw)), Bytes(manifest.raw))

    assert [found.digest for found in target.referrers(INDEX.digest)] == [digest]


def test_delete(target: Layout) -> None:
    """Content goes with all its names, other names stay; what isn't there is deleted."""
    other = assemble_index((), {})
    with target:
        target.push(INDEX.descriptor, Bytes(INDEX.raw), "1")
        target.push(INDEX.descriptor, Bytes(INDEX.raw), "2")
        target.push(other.descriptor, Bytes(other.raw), "3")
        target.push(BLOB, Bytes(DATA))

    assert target.delete(INDEX.descriptor)
    assert target.delete(BLOB)
    assert target.delete(BLOB)

    again = Layout(target.root)
    assert again.tags() == ("3",)
    assert not again.exists(INDEX.descriptor)
    assert not again.exists(BLOB)
    assert again.exists(other.descriptor)


def test_mount(target: Layout, tmp_path: Path) -> None:
    """A layout's files are its own."""
    assert not target.mount(BLOB, Layout(tmp_path / "other", create=True))
