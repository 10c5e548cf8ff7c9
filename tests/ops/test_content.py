from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import AccessDenied, ContentMismatch, NotFound, Refused, UsageError
from regkit.events import Note
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.layout import blob_path
from regkit.oci.manifest import Manifest, canonical_json
from regkit.ops.content import (
    delete_manifests,
    find_blob,
    opened_blob,
    plan_deletion,
    push_blob,
    put_manifest,
    read_document,
    save_blob,
)
from regkit.ops.copy import CopySpec, copy
from regkit.ops.inspect import read_manifest
from regkit.protocol.flow import Bytes, Request, Response
from regkit.targets.layout import Layout
from regkit.targets.location import Location
from regkit.transport.session import Session
from tests.ops.support import Served, Undeletable, attested_layout, release, serving

DATA = b"some content"
BLOB = Descriptor.of("application/octet-stream", DATA)


def at(served: Served, rest: str) -> Location:
    """Give a location in a served registry."""
    return Location.parse(f"{served.host}/team/hello{rest}")


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return attested_layout(tmp_path / "layout", "linux/amd64", "linux/arm64")


# Manifests


@pytest.mark.parametrize(
    ("document", "media_type", "kind"),
    [
        ({"mediaType": mediatype.DOCKER_INDEX, "manifests": []}, None, mediatype.DOCKER_INDEX),
        ({"mediaType": mediatype.OCI_INDEX, "manifests": []}, mediatype.OCI_INDEX, mediatype.OCI_INDEX),
        ({"manifests": []}, None, mediatype.OCI_INDEX),
        ({"config": {}}, None, mediatype.OCI_MANIFEST),
        ({"config": {}}, mediatype.DOCKER_MANIFEST, mediatype.DOCKER_MANIFEST),
        ({}, mediatype.OCI_MANIFEST, mediatype.OCI_MANIFEST),
    ],
)
def test_the_media_type_of_a_document(document: object, media_type: str | None, kind: str) -> None:
    """The document's own word counts, then what was given, then what it holds; the bytes stay as they are."""
    raw = canonical_json(document)

    assert read_document(raw, media_type) == Manifest(kind, raw)


@pytest.mark.parametrize(
    ("raw", "media_type", "said"),
    [
        (b"", None, "the document is empty"),
        (b"\n", None, "the document is empty"),
        (b"{", None, "isn't valid JSON"),
        (b"[]", None, "isn't a JSON object"),
        (b"{}", None, "doesn't tell what it is"),
        (b'{"config": {}, "manifests": []}', None, "an image and an index at once"),
        (b'{"mediaType": "text/plain"}', None, "is no manifest that registries take"),
        (b"{}", "text/plain", "'text/plain' isn't the media type of a manifest"),
        (
            canonical_json({"mediaType": mediatype.OCI_INDEX}),
            mediatype.OCI_MANIFEST,
            "says it is .*index.*, not .*mani",
        ),
    ],
)
def test_a_document_that_is_no_manifest(raw: bytes, media_type: str | None, said: str) -> None:
    """What a registry would misread isn't sent."""
    with pytest.raises(UsageError, match=said):
        read_document(raw, media_type)


def test_a_manifest_is_put_under_a_tag_or_by_its_digest(layout: Path) -> None:
    """The bytes arrive as they were; without a tag nothing is named, not even `latest`."""
    index = Layout(layout).manifest("built")
    with serving() as served:
        release(served, layout)
        before = served.tags()

        assert put_manifest(served.session, at(served, ":copy"), index) == index.digest
        assert served.tags() == {**before, "copy": index.digest}
        put_manifest(served.session, at(served, f":other@{index.digest}"), index)
        odd = Manifest(mediatype.OCI_INDEX, b'{ "schemaVersion":2,"manifests":[] }')
        assert put_manifest(served.session, at(served, ""), odd) == odd.digest
        assert served.tags() == {**before, "copy": index.digest, "other": index.digest}
        names = served.registry.store.names("team/hello")
        assert names is not None
        assert odd.digest in names.manifests


@pytest.mark.parametrize(
    "document",
    [
        {"mediaType": mediatype.OCI_MANIFEST},
        {"mediaType": mediatype.OCI_MANIFEST, "config": BLOB.to_json(), "layers": [{}]},
        {"mediaType": mediatype.OCI_MANIFEST, "config": BLOB.to_json(), "subject": {"digest": "x"}},
        {"mediaType": mediatype.OCI_INDEX, "manifests": {}},
        {"mediaType": mediatype.OCI_INDEX, "manifests": [{"mediaType": "x", "digest": "sha256:1", "size": 1}]},
    ],
)
def test_a_manifest_that_names_nothing_that_can_be_there(layout: Path, document: object) -> None:
    """It's the caller's mistake, and found before anything is sent, to whatever place."""
    manifest = read_document(canonical_json(document))
    with serving() as served:
        for place in (at(served, ":odd"), Location.parse(f"oci:{layout}:odd")):
            with pytest.raises(UsageError, match="this can't be pushed"):
                put_manifest(served.session, place, manifest)
        assert served.writes == []
    assert Layout(layout).resolve("odd") is None


def test_a_manifest_in_a_layout(layout: Path) -> None:
    """A layout takes it just so; one that isn't there is begun, and so is an archive."""
    empty = Manifest(mediatype.OCI_INDEX, b'{"schemaVersion": 2, "manifests": []}')
    with Session() as session:
        put_manifest(session, Location.parse(f"oci:{layout}:empty"), empty)

        for place in (f"ocidir://{layout}-new", f"oci-archive:{layout}.tar"):
            put_manifest(session, Location.parse(f"{place}:empty"), empty)
            assert read_manifest(session, Location.parse(f"{place}:empty")).raw == empty.raw

    assert Layout(layout).manifest("empty").raw == empty.raw


def test_a_digest_that_the_bytes_do_not_have(layout: Path) -> None:
    """It's found before anything is sent."""
    index = Layout(layout).manifest("built")
    with serving() as served:
        with pytest.raises(ContentMismatch, match="the document has the digest"):
            put_manifest(served.session, at(served, f"@{BLOB.digest}"), index)
        assert served.writes == []


def test_what_goes_with_a_manifest_is_told(layout: Path) -> None:
    """Every tag on it, and every tagged index that lists it."""
    with serving() as served:
        release(served, layout)
        digest = served.tags()["1"]
        child = Layout(layout).manifest("built").manifests[0]
        standing, part, gone = plan_deletion(
            served.session, [at(served, f"@{name}") for name in (digest, child.digest, BLOB.digest)]
        )
        listings = [request for request in served.access if "tags/list" in request.path]

    assert sorted(standing.tags) == ["1", "1.2", "1.2.3", "latest"]
    assert (standing.parents, part.tags) == ((), ())
    assert sorted(part.parents) == ["1", "1.2", "1.2.3", "latest"]
    assert (gone.descriptor, gone.tags, gone.parents) == (None, (), ())
    assert len(listings) < 4


def test_a_manifest_is_deleted_with_its_tags(layout: Path) -> None:
    """What isn't there is no failure; the rest goes, and each is said."""
    with serving() as served:
        release(served, layout)
        locations = [at(served, f"@{served.tags()['1']}"), at(served, f"@{BLOB.digest}")]
        served.events.clear()

        delete_manifests(served.session, plan_deletion(served.session, locations))

        assert served.tags() == {}
        said = [event.text for event in served.events if isinstance(event, Note)]
        assert said == [f"removed {locations[0]}", f"{locations[1]} isn't there"]


def test_a_manifest_is_deleted_from_a_layout(layout: Path) -> None:
    """With the names on it."""
    location = Location.parse(f"oci:{layout}@{Layout(layout).roots[0].digest}")
    with Session() as session:
        deletions = plan_deletion(session, [location])
        delete_manifests(session, deletions)

    assert deletions[0].tags == ("built",)
    assert Layout(layout).roots == ()


def test_a_registry_that_does_not_delete(layout: Path) -> None:
    """It's refused, and said which one stays."""
    with serving(Undeletable()) as served:
        release(served, layout)
        location = at(served, f"@{served.tags()['1']}")
        with pytest.raises(Refused, match=f"{location} stays"):
            delete_manifests(served.session, plan_deletion(served.session, [location]))


@pytest.mark.parametrize("rest", ["", ":1", f":1@{BLOB.digest}"])
def test_a_tag_is_not_deleted_by_its_digest(rest: str) -> None:
    """The error names the command that removes a tag alone."""
    with serving() as served, pytest.raises(UsageError, match="names a tag") as caught:
        plan_deletion(served.session, [at(served, rest)])

    assert caught.value.hint is not None
    assert "regkit tag rm" in caught.value.hint


# Blobs


def test_a_blob_there_and_back(tmp_path: Path) -> None:
    """What was put is found and read, from a registry and from a new layout; putting it again does no harm."""
    with serving() as served:
        for place in (f"{served.host}/team/hello", f"oci:{tmp_path / 'layout'}"):
            for _ in range(2):
                assert push_blob(served.session, Location.parse(place), Bytes(DATA)) == BLOB.digest
            location = Location.parse(f"{place}@{BLOB.digest}")
            assert find_blob(served.session, location) == BLOB
            with opened_blob(served.session, location) as stream:
                assert stream.read() == DATA


def test_a_blob_is_found_by_its_digest_alone(layout: Path) -> None:
    """What isn't there is a NotFound; a tag, or no name, is no blob's."""
    for place in ("example.test/a", f"oci:{layout}"):
        with Session() as session, pytest.raises(UsageError, match="doesn't name a blob"):
            find_blob(session, Location.parse(f"{place}:1"))
    with Session() as session, pytest.raises(NotFound, match="no blob has this digest"):
        find_blob(session, Location.parse(f"oci:{layout}@{BLOB.digest}"))
    with serving() as served, pytest.raises(NotFound, match="no blob has this digest"):
        find_blob(served.session, at(served, f"@{BLOB.digest}"))
    with Session() as session, pytest.raises(UsageError, match="names more than a repository"):
        push_blob(session, Location.parse(f"oci:{layout}:1"), Bytes(DATA))
    with Session() as session, pytest.raises(UsageError, match="names more than a repository"):
        push_blob(session, Location.parse("example.test/a:1"), Bytes(DATA))


class Spoiling(DevRegistry):
    """The last byte of every blob that is read is another."""

    def handle(self, request: Request) -> Response:
        answer = super().handle(request)
        if request.method == "GET" and "/blobs/sha256" in request.url:
            return Response(200, answer.headers, Bytes(answer.body.read()[:-1] + b"!").open(), answer.url)
        return answer


def test_a_blob_is_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    """A broken one leaves nothing, and what was there before stays; a good one gets the usual mode."""
    file = tmp_path / "out" / "blob"
    file.parent.mkdir()
    mask = os.umask(0o027)
    try:
        with serving() as served:
            push_blob(served.session, at(served, ""), Bytes(DATA))
            save_blob(served.session, at(served, f"@{BLOB.digest}"), file)
    finally:
        os.umask(mask)
    assert file.read_bytes() == DATA
    assert stat.S_IMODE(file.stat().st_mode) == 0o640

    file.write_text("before")
    with serving(Spoiling()) as served:
        push_blob(served.session, at(served, ""), Bytes(DATA))
        with pytest.raises(ContentMismatch):
            save_blob(served.session, at(served, f"@{BLOB.digest}"), file)
    assert [(path.name, path.read_text()) for path in file.parent.iterdir()] == [("blob", "before")]


def test_a_link_is_followed(tmp_path: Path) -> None:
    """What it leads to is replaced, not the link."""
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(file)
    with serving() as served:
        push_blob(served.session, at(served, ""), Bytes(DATA))
        for _ in range(2):
            save_blob(served.session, at(served, f"@{BLOB.digest}"), link)

    assert (link.is_symlink(), file.read_bytes()) == (True, DATA)


def test_a_blob_goes_into_a_pipe_as_it_is(tmp_path: Path) -> None:
    """What is no plain file is written, not replaced."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with serving() as served:
        push_blob(served.session, at(served, ""), Bytes(DATA))
        save_blob(served.session, at(served, f"@{BLOB.digest}"), pipe)
    reader.join()

    assert read == [DATA]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_file_that_can_not_be_written(tmp_path: Path) -> None:
    """That is the user's to mend, not a bug."""
    with serving() as served:
        push_blob(served.session, at(served, ""), Bytes(DATA))
        with pytest.raises(UsageError, match="can't be written: No such file"):
            save_blob(served.session, at(served, f"@{BLOB.digest}"), tmp_path / "nowhere" / "blob")
        with pytest.raises(UsageError, match="can't be written: Is a directory"):
            save_blob(served.session, at(served, f"@{BLOB.digest}"), tmp_path)


def test_a_broken_blob_of_a_layout(layout: Path) -> None:
    """The digest is checked there too, with the last bytes."""
    with Session() as session:
        push_blob(session, Location.parse(f"oci:{layout}"), Bytes(DATA))
        path = layout / blob_path(BLOB.digest)
        path.write_bytes(DATA[:-1] + b"!")
        location = Location.parse(f"oci:{layout}@{BLOB.digest}")
        with pytest.raises(ContentMismatch), opened_blob(session, location) as stream:
            stream.read()


def test_a_blob_of_an_archive(layout: Path, tmp_path: Path) -> None:
    """It's found among what the archive's names lead to."""
    image = Layout(layout).manifest(Layout(layout).manifest("built").manifests[0].digest)
    archive = f"oci-archive:{tmp_path / 'archive.tar'}"
    with Session() as session:
        copy(session, CopySpec(Location.parse(f"oci:{layout}:built"), Location.parse(f"{archive}:1")))
        found = find_blob(session, Location.parse(f"{archive}@{image.layers[0].digest}"))
        with opened_blob(session, Location.parse(f"{archive}@{image.layers[0].digest}")) as stream:
            assert len(stream.read()) == found.size == image.layers[0].size
        with pytest.raises(NotFound, match="no blob has this digest"):
            find_blob(session, Location.parse(f"{archive}@{BLOB.digest}"))


class Closed(DevRegistry):
    """Lets nobody at blobs."""

    def handle(self, request: Request) -> Response:
        return Response(403) if "/blobs/sha256" in request.url else super().handle(request)


def test_a_closed_door_is_told_with_a_way_on() -> None:
    """Who was turned away, and what to do about it, as everywhere."""
    with serving(Closed()) as served, pytest.raises(AccessDenied, match="doesn't let anonymous") as caught:
        find_blob(served.session, at(served, f"@{BLOB.digest}"))

    assert served.host in str(caught.value.hint)
