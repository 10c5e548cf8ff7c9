from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from regkit.errors import ContentMismatch, NotFound, ProtocolError, UsageError
from regkit.oci import mediatype
from regkit.oci.annotation import REF_NAME
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.layout import blob_path
from regkit.oci.manifest import MAX_SIZE, Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from regkit.targets.verified import read_all
from tests.support.layouts import make_layout

DATA = b"a layer's bytes"
BLOB = Descriptor.of(mediatype.OCI_LAYER_GZIP, DATA)
INDEX = assemble_index((), {"k": "v"})


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def write(root: Path, index: object, marker: object = None) -> Path:
    root.mkdir(exist_ok=True)
    (root / "oci-layout").write_text(json.dumps(marker or {"imageLayoutVersion": "1.0.0"}))
    (root / "index.json").write_text(json.dumps(index))
    return root


def test_round_trip(tmp_path: Path) -> None:
    """What is pushed is found again by another Layout: blobs, a manifest by digest and by name, its names."""
    with Layout(tmp_path / "new", create=True) as layout:
        layout.push(BLOB, Bytes(DATA))
        layout.push(INDEX.descriptor, Bytes(INDEX.raw), "1.2")

    again = Layout(tmp_path / "new")
    assert again.tags() == ("1.2",)
    assert again.resolve("1.2") == again.resolve(INDEX.digest) == INDEX.descriptor
    assert again.manifest("1.2") == again.manifest(INDEX.digest) == INDEX
    assert again.exists(BLOB)
    assert read_all(again.fetch(BLOB), 100) == DATA
    assert files(tmp_path / "new") == {
        "oci-layout",
        "index.json",
        str(blob_path(BLOB.digest)),
        str(blob_path(INDEX.digest)),
    }


def test_it_is_what_the_specification_says(tmp_path: Path) -> None:
    """Other tools read it: the marker, and an index that lists the named root with its annotation."""
    with Layout(tmp_path, create=True) as layout:
        layout.push(INDEX.descriptor, Bytes(INDEX.raw), "1.2")

    assert json.loads((tmp_path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    document = json.loads((tmp_path / "index.json").read_text())
    assert (document["schemaVersion"], document["mediaType"]) == (2, mediatype.OCI_INDEX)
    assert document["manifests"] == [{**INDEX.descriptor.to_json(), "annotations": {REF_NAME: "1.2"}}]


def test_names_move_and_go(tmp_path: Path) -> None:
    """A name stands on one thing at a time; what it stood on stays as content; a name that isn't there is removed."""
    other = assemble_index((), {"k": "other"})
    with Layout(tmp_path, create=True) as layout:
        for manifest, name in ((INDEX, "1"), (INDEX, "latest"), (other, "latest")):
            layout.push(manifest.descriptor, Bytes(manifest.raw), name)
        assert layout.untag("1")
        assert layout.untag("never there")

    again = Layout(tmp_path)
    assert again.tags() == ("latest",)
    assert again.manifest("latest") == other
    assert again.manifest(INDEX.digest) == INDEX
    assert again.resolve("1") is None


def push_two(layout: Layout) -> None:
    """Name something, and fail afterwards."""
    layout.push(INDEX.descriptor, Bytes(INDEX.raw), "2")
    layout.push(BLOB, Bytes(b""))


def test_an_error_names_nothing(tmp_path: Path) -> None:
    """Names are written when all went well: after an error the layout shows what it showed before."""
    with Layout(tmp_path, create=True) as layout:
        layout.push(INDEX.descriptor, Bytes(INDEX.raw), "1")
    before = (tmp_path / "index.json").read_bytes()

    with pytest.raises(ContentMismatch), Layout(tmp_path) as layout:
        push_two(layout)

    assert (tmp_path / "index.json").read_bytes() == before


def test_reading_writes_nothing(tmp_path: Path) -> None:
    """A layout that is only read isn't touched."""
    write(tmp_path, {"schemaVersion": 2, "manifests": []})
    before = (tmp_path / "index.json").read_bytes()

    with Layout(tmp_path) as layout:
        assert layout.roots == ()

    assert (tmp_path / "index.json").read_bytes() == before
    assert files(tmp_path) == {"oci-layout", "index.json"}


def test_a_vendors_fields_survive(tmp_path: Path) -> None:
    """What other tools wrote into index.json stays when a name is added."""
    entry = {**INDEX.descriptor.to_json(), "annotations": {"vendor": "x"}, "urls": ["y"]}
    write(tmp_path, {"schemaVersion": 2, "manifests": [entry], "annotations": {"a": "b"}, "vendor": 1})

    with Layout(tmp_path) as layout:
        layout.push(INDEX.descriptor, Bytes(INDEX.raw), "1")

    document = json.loads((tmp_path / "index.json").read_text())
    assert (document["annotations"], document["vendor"]) == ({"a": "b"}, 1)
    assert document["manifests"][0] == entry


def test_content_that_is_there_is_not_read_again(tmp_path: Path) -> None:
    """Pushing what is there opens no source."""

    class Closed(Bytes):
        def open(self) -> BinaryIO:
            raise AssertionError("nobody should read this")

    with Layout(tmp_path, create=True) as layout:
        layout.push(BLOB, Bytes(DATA))
        layout.push(BLOB, Closed(DATA))


@pytest.mark.parametrize("data", [b"other bytes' sum", DATA[:-1], DATA + b"x", b""])
def test_wrong_bytes_leave_no_file(tmp_path: Path, data: bytes) -> None:
    """Content with another digest or size is refused, and no part of it stays."""
    with Layout(tmp_path, create=True) as layout, pytest.raises(ContentMismatch):
        layout.push(BLOB, Bytes(data))

    assert files(tmp_path) == {"oci-layout", "index.json"}
    assert not Layout(tmp_path).exists(BLOB)


def test_content_that_was_spoiled_on_disk(tmp_path: Path) -> None:
    """A blob that was cut off isn't there; one with other bytes is an error when it's read; so is a manifest."""
    with Layout(tmp_path, create=True) as layout:
        layout.push(BLOB, Bytes(DATA))
        layout.push(INDEX.descriptor, Bytes(INDEX.raw), "1")
    path = tmp_path / blob_path(BLOB.digest)

    path.write_bytes(DATA[:-1])
    assert not Layout(tmp_path).exists(BLOB)
    path.write_bytes(b"X" + DATA[1:])
    with pytest.raises(ContentMismatch, match=f"the blob {BLOB.digest} of ocidir://"):
        read_all(Layout(tmp_path).fetch(BLOB), 100)
    (tmp_path / blob_path(INDEX.digest)).write_bytes(INDEX.raw.replace(b"v", b"w"))
    with pytest.raises(ContentMismatch, match="doesn't have its digest"):
        Layout(tmp_path).manifest("1")


def test_what_is_missing(tmp_path: Path) -> None:
    """A name, a digest or a blob that isn't there is a NotFound that says what and where."""
    write(tmp_path, {"schemaVersion": 2, "manifests": [INDEX.descriptor.to_json()]})
    layout = Layout(tmp_path)

    assert layout.resolve("1") is None
    assert layout.resolve(BLOB.digest) is None
    assert not layout.exists(BLOB)
    with pytest.raises(NotFound, match=f"has no blob {BLOB.digest} of {BLOB.size} bytes"):
        layout.fetch(BLOB)
    with pytest.raises(NotFound, match="has no tag '1'"):
        layout.manifest("1")
    for digest in (INDEX.digest, BLOB.digest):
        with pytest.raises(NotFound, match=f"has no blob {digest}"):
            layout.manifest(digest)


def test_a_manifest_below_the_roots_is_resolved(tmp_path: Path) -> None:
    """A digest need not be one that index.json lists."""
    index = make_layout(tmp_path, ["linux/amd64", "linux/arm/v6"])
    layout = Layout(tmp_path)
    child = index.manifests[1]

    assert child.platform == Platform("linux", "arm", "v6")
    assert layout.resolve(child.digest) == replace(child, platform=None)


def test_a_huge_manifest_is_not_read(tmp_path: Path) -> None:
    """A manifest of more than 4 MiB isn't one."""
    raw = b" " * (MAX_SIZE + 1)
    huge = Manifest(mediatype.OCI_INDEX, raw).descriptor
    write(tmp_path, {"schemaVersion": 2, "manifests": [huge.to_json()]})
    path = tmp_path / blob_path(huge.digest)
    path.parent.mkdir(parents=True)
    path.write_bytes(raw)

    with pytest.raises(ProtocolError, match="larger than"):
        Layout(tmp_path).manifest(huge.digest)


@pytest.mark.parametrize(
    ("index", "marker", "said"),
    [
        pytest.param([], None, "broken OCI image layout", id="a list"),
        pytest.param({"manifests": "x"}, None, "broken OCI image layout", id="no list"),
        pytest.param({"manifests": [{}]}, None, "broken OCI image layout", id="an empty descriptor"),
        pytest.param(
            {"manifests": [{"mediaType": "x", "digest": "sha256:../x", "size": 1}]}, None, "broken", id="a path"
        ),
        pytest.param({"mediaType": mediatype.OCI_MANIFEST}, None, "broken OCI image layout", id="an image"),
        pytest.param({"manifests": []}, {"imageLayoutVersion": "2.0.0"}, "unknown version '2.0.0'", id="a later one"),
        pytest.param({"manifests": []}, [1], "unknown version None", id="no version"),
    ],
)
def test_a_broken_layout(tmp_path: Path, index: object, marker: object, said: str) -> None:
    """A directory that merely resembles a layout is the user's mistake: exit 2, its path named."""
    write(tmp_path, index, marker)

    with pytest.raises(UsageError, match=said) as caught:
        Layout(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_no_json(tmp_path: Path) -> None:
    """Broken JSON in either file, however deep, is said in a sentence."""
    for name in ("index.json", "oci-layout"):
        for text in ("{", "[" * 100_000):
            write(tmp_path, {"manifests": []})
            (tmp_path / name).write_text(text)
            with pytest.raises(UsageError, match="broken OCI image layout"):
                Layout(tmp_path)


@pytest.mark.parametrize("create", [True, False])
def test_a_foreign_directory(tmp_path: Path, create: bool) -> None:
    """A directory with another index.json is no layout, and isn't made one; nor is a file."""
    (tmp_path / "index.json").write_text("{}")
    (tmp_path / "file").write_text("")

    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(UsageError, match=r"isn't an OCI image layout|can't be read"), Layout(path, create=create):
            pass
    assert files(tmp_path) == {"index.json", "file"}


def test_a_layout_that_is_not_there(tmp_path: Path) -> None:
    """Without `create`, a directory must be a layout already, and the hint says what that is."""
    with pytest.raises(UsageError, match="isn't an OCI image layout") as caught:
        Layout(tmp_path / "nothing")

    assert caught.value.hint is not None
    assert not (tmp_path / "nothing").exists()


def test_an_index_file_that_is_a_directory(tmp_path: Path) -> None:
    """What can't be read at all is said, too."""
    (tmp_path / "index.json").mkdir()
    (tmp_path / "oci-layout").write_text("{}")

    with pytest.raises(UsageError, match="can't be read"):
        Layout(tmp_path)


def test_no_digest_leads_out_of_the_directory(tmp_path: Path) -> None:
    """Only a checked digest becomes a path: what is none is a name, and nothing has that."""
    root = tmp_path / "root"
    root.mkdir()
    write(root, {"manifests": []})
    (tmp_path / "outside").write_bytes(canonical_json({"manifests": []}))

    for name in ("sha256:../../../outside", "sha256:../../outside", "x:y"):
        assert Layout(root).resolve(name) is None
        with pytest.raises(NotFound, match="has no tag"):
            Layout(root).manifest(name)


def test_sha512(tmp_path: Path) -> None:
    """A manifest named by its sha512 is checked by it."""
    raw = canonical_json({"manifests": []})
    descriptor: Any = Descriptor(mediatype.OCI_INDEX, Digest.of(raw, "sha512"), len(raw))
    with Layout(tmp_path, create=True) as layout:
        layout.push(descriptor, Bytes(raw), "1")

    assert Layout(tmp_path).manifest("1").raw == raw
    assert (tmp_path / "blobs" / "sha512" / descriptor.digest.hex).is_file()


def named(seed: str) -> Manifest:
    return assemble_index((), {"seed": seed})


def test_two_that_write_at_once(tmp_path: Path) -> None:
    """Names that another process wrote meanwhile stay, what it removed stays away; for one name the later counts."""
    first, second, third = map(named, "123")
    with Layout(tmp_path, create=True) as layout:
        for name in ("old", "moved", "gone"):
            layout.push(INDEX.descriptor, Bytes(INDEX.raw), name)

    with Layout(tmp_path) as one, Layout(tmp_path) as two:
        one.push(first.descriptor, Bytes(first.raw), "1")
        two.push(second.descriptor, Bytes(second.raw), "2")
        one.push(first.descriptor, Bytes(first.raw), "moved")
        two.push(second.descriptor, Bytes(second.raw), "moved")
        two.untag("old")
        one.untag("gone")
        one.push(third.descriptor, Bytes(third.raw))

    again = Layout(tmp_path)
    assert sorted(again.tags()) == ["1", "2", "moved"]
    assert again.manifest("1") == again.manifest("moved") == first  # `two` ends before `one`
    assert again.manifest("2") == second
    assert third.digest in {root.digest for root in again.roots}


def test_a_deletion_beside_another(tmp_path: Path) -> None:
    """Deleting writes the names at once, and keeps those of others then and later."""
    first, second = map(named, "12")
    with Layout(tmp_path, create=True) as layout:
        layout.push(INDEX.descriptor, Bytes(INDEX.raw), "old")

    with Layout(tmp_path) as one, Layout(tmp_path) as two:
        two.push(second.descriptor, Bytes(second.raw), "2")
        one.push(first.descriptor, Bytes(first.raw), "1")
        assert one.delete(INDEX.descriptor)
        assert Layout(tmp_path).tags() == ("1",)

    assert sorted(Layout(tmp_path).tags()) == ["1", "2"]


def test_a_layout_whose_blobs_are_elsewhere(tmp_path: Path) -> None:
    """A directory of content that layouts share is followed: whatever lies in it, what is read has its digest."""
    with Layout(tmp_path / "one", create=True) as layout:
        layout.push(INDEX.descriptor, Bytes(INDEX.raw), "1")
    (tmp_path / "one" / "blobs").rename(tmp_path / "shared")
    for name in ("one", "two"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "blobs").symlink_to("../shared")

    with Layout(tmp_path / "two", create=True) as layout:
        assert layout.exists(INDEX.descriptor)
        layout.push(BLOB, Bytes(DATA))

    assert Layout(tmp_path / "one").manifest("1") == INDEX
    assert read_all(Layout(tmp_path / "one").fetch(BLOB), 100) == DATA
