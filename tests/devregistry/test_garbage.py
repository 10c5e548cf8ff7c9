from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.directory import UPLOADS, DirectoryStore
from regkit.devregistry.garbage import Garbage, find_garbage, remove_garbage
from regkit.errors import ContentMismatch, ProtocolError, RegkitError, UsageError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.layout import INDEX, blob_path
from regkit.oci.manifest import Manifest, assemble_index, canonical_json

from .support import ask, content, image, push_blob, push_image, put, write_layout


@contextmanager
def serving(root: Path) -> Iterator[DevRegistry]:
    with DevRegistry(DirectoryStore(root)) as registry:
        yield registry


def collect(root: Path, *, untagged: bool = False, dry_run: bool = False) -> Garbage:
    """Collect as the command does: with the registry stopped."""
    store = DirectoryStore(root, looked_at=True)
    try:
        garbage = find_garbage(store, untagged=untagged)
        if not dry_run:
            remove_garbage(store, garbage)
    finally:
        store.close()
    return garbage


def digests(garbage: Garbage) -> set[Digest]:
    return {file.digest for file in garbage.files if file.digest}


def files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_blobs_of_no_manifest_go(tmp_path: Path) -> None:
    """What was pushed and never used goes; what a manifest uses stays, with a tag and without."""
    with serving(tmp_path) as registry:
        tagged, untagged = push_image(registry, "a/b", "1"), push_image(registry, "a/b", None, "untagged")
        unused = push_blob(registry, "a/b", b"unused")

    garbage = collect(tmp_path)

    assert digests(garbage) == {unused}
    assert garbage.freed == len(b"unused")
    with serving(tmp_path) as registry:
        for manifest in (tagged, untagged):
            assert content(ask(registry, "GET", f"/v2/a/b/manifests/{manifest.digest}")) == manifest.raw
            for blob in manifest.blobs:
                assert ask(registry, "HEAD", f"/v2/a/b/blobs/{blob.digest}").status == 200


def test_untagged_manifests_go_where_asked(tmp_path: Path) -> None:
    """With `untagged`, a manifest whose tag moved on goes with its blobs, but not the children of an index."""
    with serving(tmp_path) as registry:
        old, child, other = (push_image(registry, "a", tag, tag or "child") for tag in ("1", None, "2"))
        put(registry, "a", "1", other)
        index = assemble_index([child.descriptor], {})
        put(registry, "a", "index", index)

    gone = digests(collect(tmp_path, untagged=True))

    assert gone == {old.digest, *(blob.digest for blob in old.blobs)}
    with serving(tmp_path) as registry:
        assert ask(registry, "GET", f"/v2/a/manifests/{old.digest}").status == 404
        assert ask(registry, "GET", f"/v2/a/manifests/{child.digest}").status == 200
        assert ask(registry, "GET", "/v2/a/tags/list").json(1 << 20)["tags"] == ["1", "2", "index"]


def referring(registry: DevRegistry, subject: Manifest, text: str) -> Manifest:
    return push_image(registry, "a", None, text, subject=subject.descriptor.to_json(), artifactType="a/signature")


def test_referrers_go_with_their_subject(tmp_path: Path) -> None:
    """A signature stays as long as what it signs, and so does what refers to the signature."""
    with serving(tmp_path) as registry:
        tagged, untagged = push_image(registry, "a", "1"), push_image(registry, "a", None, "untagged")
        signature = referring(registry, tagged, "signature")
        of_signature = referring(registry, signature, "about the signature")
        going = referring(registry, untagged, "signature of what goes")

    gone = digests(collect(tmp_path, untagged=True))

    assert {untagged.digest, going.digest} <= gone
    with serving(tmp_path) as registry:
        for manifest in (signature, of_signature):
            assert ask(registry, "GET", f"/v2/a/manifests/{manifest.digest}").status == 200
        listed = ask(registry, "GET", f"/v2/a/referrers/{tagged.digest}").json(1 << 20)["manifests"]
        assert [entry["digest"] for entry in listed] == [signature.digest]


def test_nothing_changes_in_a_dry_run(tmp_path: Path) -> None:
    """A look names what would go, leftovers of uploads too, and touches none of it."""
    with serving(tmp_path) as registry:
        push_image(registry, "a", None)
    (tmp_path / UPLOADS / "leftover").write_bytes(b"half")
    before = files(tmp_path)

    found = collect(tmp_path, untagged=True, dry_run=True)

    assert files(tmp_path) == before
    removed = collect(tmp_path, untagged=True)
    assert removed == found
    assert before.keys() - files(tmp_path).keys() == {file.path for file in removed.files}
    assert tmp_path / UPLOADS / "leftover" in {file.path for file in removed.files}
    assert collect(tmp_path, untagged=True).files == ()


def test_mounted_blob_counts_where_it_goes_last(tmp_path: Path) -> None:
    """A blob that two repositories share is freed when the second one needs it no longer."""
    with serving(tmp_path) as registry:
        digest = push_blob(registry, "a", b"shared")
        ask(registry, "POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a")
        blobs, _ = image("kept")
        config = Descriptor.of(mediatype.OCI_CONFIG, blobs[0])
        push_blob(registry, "b", blobs[0])
        document = {
            "schemaVersion": 2,
            "config": config.to_json(),
            "layers": [Descriptor.of(mediatype.OCI_LAYER_GZIP, b"shared").to_json()],
        }
        kept = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
        assert put(registry, "b", "1", kept).status == 201

    first = collect(tmp_path)
    assert (digests(first), first.freed) == ({digest}, 0)

    with serving(tmp_path) as registry:
        ask(registry, "DELETE", f"/v2/b/manifests/{kept.digest}")
    second = collect(tmp_path)
    assert second.freed == len(b"shared") + len(blobs[0])


def test_layout_of_another_tool_stays_whole(tmp_path: Path) -> None:
    """An index that lists content which is no manifest keeps it, and lists it still after a push and a collection."""
    with serving(tmp_path) as registry:
        push_image(registry, "other", "1")
    index = write_layout(tmp_path / "a", ["linux/amd64"], "1")
    data = b"no manifest"
    entry = Descriptor.of("application/vnd.example.thing", data)
    (tmp_path / "a" / blob_path(entry.digest)).write_bytes(data)
    document = {"schemaVersion": 2, "manifests": [index.descriptor.to_json(), entry.to_json()]}
    (tmp_path / "a" / INDEX).write_bytes(canonical_json(document))

    assert collect(tmp_path).files == ()
    with serving(tmp_path) as registry:
        put(registry, "a", "2", index)
    assert collect(tmp_path, untagged=True).files == ()
    listed = Manifest(mediatype.OCI_INDEX, (tmp_path / "a" / INDEX).read_bytes()).manifests
    assert entry in listed


def test_what_runs_is_left_alone(tmp_path: Path) -> None:
    """While a registry serves the directory, nothing is even looked at."""
    with serving(tmp_path), pytest.raises(UsageError, match="another registry serves"):
        collect(tmp_path)


@pytest.mark.parametrize("made", [True, False])
def test_only_a_registrys_directory_is_collected(tmp_path: Path, made: bool) -> None:
    """A directory that no registry ever served is refused, and none is made."""
    root = tmp_path / "elsewhere"
    if made:
        write_layout(root / "a", ["linux/amd64"], "1")
    before = files(tmp_path)

    with pytest.raises(UsageError, match="isn't the directory of a registry"):
        collect(root)
    assert files(tmp_path) == before
    assert root.exists() == made


def test_file_that_stays_is_named(tmp_path: Path) -> None:
    """What can't be removed is an error that says which file; what is called by a digest and is no file isn't ours."""
    with serving(tmp_path) as registry:
        push_blob(registry, "a", b"unused")
    store = DirectoryStore(tmp_path, looked_at=True)
    garbage = find_garbage(store)
    (file,) = garbage.files
    file.path.unlink()
    (file.path / "below").mkdir(parents=True)

    with pytest.raises(RegkitError, match=f"{file.path} can't be removed"):
        remove_garbage(store, garbage)
    assert find_garbage(store).files == ()
    store.close()


@pytest.mark.parametrize("broken", [b'{"schemaVersion": 2}', b""])
def test_nothing_goes_where_a_manifest_has_other_bytes(tmp_path: Path, broken: bytes) -> None:
    """What a manifest that lost its bytes refers to can't be known: then nothing is removed, in no repository."""
    with serving(tmp_path) as registry:
        push_blob(registry, "0", b"unused")
        manifest = push_image(registry, "a", "1")
    (tmp_path / "a" / blob_path(manifest.digest)).write_bytes(broken)
    before = files(tmp_path)

    with pytest.raises(ContentMismatch, match=str(manifest.digest)):
        collect(tmp_path)
    assert files(tmp_path) == before


def test_nothing_goes_where_a_manifest_cannot_be_read(tmp_path: Path) -> None:
    """A manifest of another tool that has its digest, but no sense, stops the collection, too."""
    with serving(tmp_path) as registry:
        push_blob(registry, "0", b"unused")
    write_layout(tmp_path / "a", ["linux/amd64"], "1")
    raw = b'{"schemaVersion": 2, "layers": 3}'
    entry = Descriptor.of(mediatype.OCI_MANIFEST, raw)
    (tmp_path / "a" / blob_path(entry.digest)).write_bytes(raw)
    (tmp_path / "a" / INDEX).write_bytes(canonical_json({"schemaVersion": 2, "manifests": [entry.to_json()]}))
    before = files(tmp_path)

    with pytest.raises(ProtocolError, match=str(tmp_path / "a")):
        collect(tmp_path)
    assert files(tmp_path) == before


@dataclass
class Pushed:
    """A repository's manifests in the order of their pushes, and its tags."""

    manifests: list[Manifest] = field(default_factory=list)
    tags: dict[str, Manifest] = field(default_factory=dict)

    def closure(self, *, untagged: bool) -> set[Digest]:
        """Give all that has to stay, by the definition: again and again until nothing is added."""
        known = {manifest.digest: manifest for manifest in self.manifests}
        found = {manifest.digest for manifest in (self.tags.values() if untagged else self.manifests)}
        while True:
            below = {d.digest for m in found & known.keys() for d in (*known[m].manifests, *known[m].blobs)}
            about = {d for d, manifest in known.items() if manifest.subject and manifest.subject.digest in found}
            if below | about <= found:
                return found
            found |= below | about


def push_any(registry: DevRegistry, pushed: Pushed, step: Mapping[str, Any]) -> None:
    """Push an image or an index over some of what was pushed before, with or without a subject and a tag."""
    before = pushed.manifests
    chosen = [before[number % len(before)] for number in step["of"]] if before else []
    more = {"subject": chosen[0].descriptor.to_json()} if step["refers"] and chosen else {}
    if step["index"]:
        children = {child.digest: child.descriptor.to_json() for child in chosen}
        document = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [*children.values()], **more}
        manifest = Manifest(mediatype.OCI_INDEX, canonical_json(document))
    else:
        blobs, manifest = image(f"content {step['content']}", **more)
        for blob in blobs:
            push_blob(registry, "a", blob)
    tag = step["tag"]
    assert put(registry, "a", tag or manifest.digest, manifest).status == 201
    pushed.manifests.append(manifest)
    if tag:
        pushed.tags[tag] = manifest


steps = st.lists(
    st.fixed_dictionaries(
        {
            "index": st.booleans(),
            "of": st.lists(st.integers(0, 9), min_size=1, max_size=3),
            "refers": st.booleans(),
            "content": st.integers(0, 3),
            "tag": st.sampled_from([None, None, "1", "2"]),
        }
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(steps, st.booleans(), st.lists(st.sampled_from(["1", "2"]), max_size=2))
def test_no_node_that_is_kept_is_ever_lost(
    plan: Sequence[Mapping[str, Any]], untagged: bool, removed: Sequence[str]
) -> None:
    """Whatever was pushed, tagged and untagged: the closure of what stays is there, byte for byte, and only that.

    The layout lists nothing that is gone.
    """
    with tempfile.TemporaryDirectory() as directory:
        root, pushed = Path(directory), Pushed()
        with serving(root) as registry:
            for step in plan:
                push_any(registry, pushed, step)
            for tag in removed:
                if pushed.tags.pop(tag, None):
                    assert ask(registry, "DELETE", f"/v2/a/manifests/{tag}").status == 202

        collect(root, untagged=untagged)

        found = {Digest(f"sha256:{path.name}"): path.read_bytes() for path in root.glob("a/blobs/sha256/*")}
        assert found.keys() == pushed.closure(untagged=untagged)
        assert all(Digest.of(data) == digest for digest, data in found.items())
        listed = [Manifest(mediatype.OCI_INDEX, path.read_bytes()).manifests for path in root.glob(f"a/{INDEX}")]
        assert {descriptor.digest for entries in listed for descriptor in entries} <= found.keys()
        with serving(root) as registry:
            for manifest in pushed.manifests:
                status = ask(registry, "GET", f"/v2/a/manifests/{manifest.digest}").status
                assert status == (200 if manifest.digest in found else 404)
            for tag, manifest in pushed.tags.items():
                assert content(ask(registry, "GET", f"/v2/a/manifests/{tag}")) == manifest.raw
