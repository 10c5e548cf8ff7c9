from __future__ import annotations

from pathlib import Path

import pytest

from regkit.errors import NotFound
from regkit.oci import mediatype
from regkit.oci.annotation import REF_NAME
from regkit.oci.descriptor import Descriptor
from regkit.oci.layout import blob_path
from regkit.oci.manifest import MAX_SIZE, Manifest, assemble_index, canonical_json
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from regkit.targets.memory import Memory
from regkit.targets.verified import read_all

DATA = b"a layer's bytes"
BLOB = Descriptor.of(mediatype.OCI_LAYER_GZIP, DATA)
INDEX = assemble_index((), {"k": "v"})


def push(target: Memory | Layout, manifest: Manifest, name: str | None = None) -> None:
    target.push(manifest.descriptor, Bytes(manifest.raw), name)


def signature(**fields: object) -> Manifest:
    document = {"mediaType": mediatype.OCI_MANIFEST, "subject": INDEX.descriptor.to_json(), "layers": [], **fields}
    return Manifest(mediatype.OCI_MANIFEST, canonical_json(document))


def test_what_is_listed(tmp_path: Path) -> None:
    """Each manifest that nothing leads to is listed, so that it isn't lost; what only refers to another is no root."""
    other, child = assemble_index((), {"k": "other"}), assemble_index((), {"k": "child"})
    parent = assemble_index([child.descriptor], {})
    with Layout(tmp_path, create=True) as layout:
        push(layout, child)
        push(layout, signature())
        push(layout, other)
        push(layout, parent, "1")
        push(layout, INDEX, "2")

    again = Layout(tmp_path)
    assert [root.digest for root in again.roots] == [parent.digest, INDEX.digest, other.digest]
    listed = Manifest(mediatype.OCI_INDEX, (tmp_path / "index.json").read_bytes()).manifests
    assert [root.digest for root in listed] == [
        parent.digest,
        INDEX.digest,
        signature().digest,
        other.digest,
    ]


def test_an_artifact_alone_is_a_root(tmp_path: Path) -> None:
    """Where there is nothing else, or it has a name, what refers to another is an entry like any."""
    with Layout(tmp_path, create=True) as layout:
        push(layout, signature())
    assert [root.digest for root in Layout(tmp_path).roots] == [signature().digest]

    with Layout(tmp_path) as layout:
        push(layout, INDEX, "1")
        push(layout, signature(x=1), "signature")
    names = [root.annotations.get(REF_NAME) for root in Layout(tmp_path).roots]
    assert names == ["1", "signature"]


def test_a_broken_subject(tmp_path: Path) -> None:
    """A subject that is none hides nothing, and refers to nothing."""
    broken = signature(subject={"digest": "?"})
    with Layout(tmp_path, create=True) as layout:
        push(layout, broken)
        push(layout, INDEX)

    again = Layout(tmp_path)
    assert {root.digest for root in again.roots} == {broken.digest, INDEX.digest}
    assert again.referrers(INDEX.digest) == ()


def test_broken_children(tmp_path: Path) -> None:
    """An index whose list isn't one is kept as it is."""
    broken = Manifest(mediatype.OCI_INDEX, canonical_json({"manifests": "x"}))
    with Layout(tmp_path, create=True) as layout:
        push(layout, broken)

    assert Layout(tmp_path).manifest(broken.digest) == broken


def test_a_symbolic_link_is_no_content(tmp_path: Path) -> None:
    """A blob that leads out of the directory isn't there; pushing it puts a file in its place, not where it leads."""
    outside = tmp_path / "outside"
    outside.write_bytes(DATA)
    root = tmp_path / "layout"
    with Layout(root, create=True) as layout:
        path = root / blob_path(BLOB.digest)
        path.parent.mkdir(parents=True)
        path.symlink_to(outside)

        assert not layout.exists(BLOB)
        for read in (lambda: layout.fetch(BLOB), lambda: layout.manifest(BLOB.digest)):
            with pytest.raises(NotFound):
                read()
        layout.push(BLOB, Bytes(DATA))

    assert not path.is_symlink()
    assert read_all(layout.fetch(BLOB), 100) == DATA
    assert outside.read_bytes() == DATA


def test_what_is_too_large_for_a_manifest() -> None:
    """A large blob isn't read to find out whether it is a manifest."""
    data = b"{" + b" " * MAX_SIZE + b"}"
    memory = Memory()
    memory.push(Descriptor.of("x/y", data), Bytes(data))

    assert memory.resolve(Descriptor.of("x/y", data).digest) is None
    assert memory.referrers(INDEX.digest) == ()


def test_names_of_other_tools(tmp_path: Path) -> None:
    """Skopeo writes whole references as names: they are found as they are written."""
    with Layout(tmp_path, create=True) as layout:
        push(layout, INDEX, "example.org/a/b:1")

    again = Layout(tmp_path)
    assert again.tags() == ("example.org/a/b:1",)
    assert again.manifest("example.org/a/b:1") == INDEX


def test_a_hint_names_what_there_is() -> None:
    """Twenty names at most; nothing where there is none."""
    target = Memory()
    assert target.known_names == "it has: nothing with a name"
    index = assemble_index((), {})
    names = [f"n{number}" for number in range(22)]
    for name in names:
        target.push(index.descriptor, Bytes(index.raw), name)

    with pytest.raises(NotFound) as caught:
        target.manifest("other")
    assert caught.value.hint == f"it has: {', '.join(names[:20])}, and 2 more"
