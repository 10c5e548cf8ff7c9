"""What each quirk does, without a socket; every verb against each is in tests/interop/test_quirk_matrix.py."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.front import Front
from regkit.devregistry.quirks.catalogue import QUIRKS, parse_quirk
from regkit.devregistry.quirks.quirk import Ability
from regkit.devregistry.quirks.traffic import EVERY, WARNING
from regkit.errors import NotFound, UsageError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.protocol.blob import head_blob, push_blob
from regkit.protocol.flow import Bytes, Request, Response, drive
from regkit.protocol.manifest import get_manifest, put_manifest
from regkit.protocol.referrers import list_referrers
from regkit.protocol.retry import retry_after
from regkit.protocol.tag import delete_tag, list_tags
from regkit.protocol.upload import Upload, mount_blob, post_blob
from regkit.protocol.warning import read_warnings
from tests.protocol.support import Wire

from .support import OCTETS, image, push_image
from .support import push_blob as upload_blob

URL = "http://registry.test"
DATA = bytes(range(256)) * 48 * 1024  # 12 MiB


def front(*quirks: str) -> Front:
    return Front(DevRegistry(), quirks)


def ask(to: Front, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return to.handle(Request(method, f"{URL}{path}", fields, Bytes(body)))


def tags(to: Front, repository: str = "a") -> dict[str, Digest]:
    names = to.registry.store.names(repository)
    return dict(names.tags) if names else {}


def has(to: Front, digest: Digest) -> bool:
    return to.registry.store.blob("a", digest) is not None


def tagged(to: Front, *names: str, content: str = "hello") -> Manifest:
    manifest = push_image(to.registry, "a", names[0], content)
    for name in names[1:]:
        drive(put_manifest("a", name, manifest), to.registry.handle)
    return manifest


def index_over(to: Front, *children: Manifest) -> Manifest:
    index = assemble_index([child.descriptor for child in children], {})
    drive(put_manifest("a", "index", index), to.registry.handle)
    return index


# The catalogue


def test_the_guide_lists_all() -> None:
    """Its table is the catalogue, row for row."""
    guide = (Path(__file__).parents[2] / "docs/guides/registry.md").read_text()
    rows = re.findall(r"^\| `([^`=]+)(?:=(\d+))?` \| (.*) \| (.*) \|$", guide, re.MULTILINE)

    assert rows == [
        (quirk.name, "" if quirk.number is None else str(quirk.number), quirk.summary, quirk.plays)
        for quirk in QUIRKS.values()
    ]


@pytest.mark.parametrize("name", QUIRKS)
def test_each_can_be_switched(name: str) -> None:
    """On and off again, while requests are answered; off, nothing of it is left."""
    here = front()
    manifest = tagged(here, "1")
    plain = ask(here, "GET", "/v2/a/manifests/1")
    here.switch_on(name)
    assert list(here.quirks) == [name]
    here.switch_off(name)
    here.switch_off(name)
    again = ask(here, "GET", "/v2/a/manifests/1")

    assert not here.quirks
    assert (again.status, again.headers, again.body.read()) == (plain.status, plain.headers, manifest.raw)


def test_all_at_once() -> None:
    """They stack: with every quirk on, a client still reads what is there."""
    here = front(*QUIRKS)
    manifest = tagged(here, "1")
    answers = [ask(here, "GET", f"/v2/a/manifests/{manifest.digest}") for _ in range(2 * EVERY)]

    assert {answer.status for answer in answers} == {200, 429}
    assert {answer.body.read() for answer in answers if answer.status == 200} == {manifest.raw}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a quirk"),
        ("Lag", "not a quirk"),
        ("lag=", "not a number"),
        ("lag=-1", "not a number"),
        ("lag=²", "not a number"),
        (f"lag={1 << 60}", "not a number"),
        ("warning=1", "has no number"),
    ],
)
def test_what_is_none(text: str, said: str) -> None:
    """A name that isn't there, and numbers that aren't any."""
    with pytest.raises(UsageError, match=said):
        parse_quirk(text)


# Deleting


@pytest.mark.parametrize("name", [name for name, quirk in QUIRKS.items() if Ability.untag in quirk.refuses])
def test_a_tag_that_stays(name: str) -> None:
    """Each quirk that says that tags can't be removed alone answers so, and the tag is there."""
    here = front(name)
    manifest = tagged(here, "1")

    assert ask(here, "DELETE", "/v2/a/manifests/1").status in (400, 403, 405)
    assert tags(here) == {"1": manifest.digest}
    assert drive(delete_tag("a", "1"), here.handle) is False


@pytest.mark.parametrize("name", [name for name, quirk in QUIRKS.items() if Ability.write in quirk.refuses])
def test_nothing_is_taken(name: str) -> None:
    """No blob, no upload, no manifest; all can be read."""
    here = front(name)
    manifest = tagged(here, "1")

    assert ask(here, "POST", "/v2/a/blobs/uploads/").status == 405
    assert ask(here, "PUT", "/v2/a/manifests/2", manifest.raw, content_type=manifest.media_type).status == 405
    assert drive(get_manifest("a", "1"), here.handle).raw == manifest.raw


@pytest.mark.parametrize("name", [name for name, quirk in QUIRKS.items() if Ability.move_tag in quirk.refuses])
def test_a_tag_that_does_not_move(name: str) -> None:
    """It stays; putting the same there again is no move, and new tags are free, unless nothing is taken at all."""
    here = front(name)
    manifest, other = tagged(here, "1"), tagged(here, "2", content="other")

    def put(tag: str, what: Manifest) -> int:
        return ask(here, "PUT", f"/v2/a/manifests/{tag}", what.raw, content_type=what.media_type).status

    assert put("1", other) in (400, 403, 405)
    assert put(f"{other.digest}?tag=4&tag=1", other) in (400, 403, 405)
    assert tags(here) == {"1": manifest.digest, "2": other.digest}
    free = 405 if Ability.write in QUIRKS[name].refuses else 201
    assert (put("1", manifest), put("3", other), put(f"{other.digest}?tag=2", other)) == (free, free, free)


def test_a_tag_takes_its_digest_along() -> None:
    """And with that all other tags on it; what else is there stays."""
    here = front("tag-delete-takes-digest")
    manifest, other = tagged(here, "1", "latest"), tagged(here, "other", content="other")

    assert ask(here, "DELETE", "/v2/a/manifests/1").status == 202
    assert (tags(here), has(here, manifest.digest), has(here, other.digest)) == ({"other": other.digest}, False, True)
    assert ask(here, "DELETE", "/v2/a/manifests/none").status == 404


@pytest.mark.parametrize(("name", "child_stays"), [("last-tag-takes-image", True), ("children-unprotected", False)])
def test_the_last_tag_takes_the_image(name: str, child_stays: bool) -> None:
    """Only the last one; what an index lists stays at one of them, and goes at the other."""
    here = front(name)
    alone, child = tagged(here, "1", "2"), tagged(here, "child", content="child")
    index_over(here, child)

    ask(here, "DELETE", "/v2/a/manifests/1")
    assert has(here, alone.digest)
    ask(here, "DELETE", "/v2/a/manifests/2")
    ask(here, "DELETE", "/v2/a/manifests/child")

    assert (has(here, alone.digest), has(here, child.digest)) == (False, child_stays)


def test_what_is_protected() -> None:
    """A child of an index, and what a tag stands on; when those are gone it can be deleted."""
    here = front("children-protected", "tagged-protected")
    child = tagged(here, "child")
    index = index_over(here, child)

    def delete(name: str) -> int:
        return ask(here, "DELETE", f"/v2/a/manifests/{name}").status

    assert (delete(child.digest), delete(index.digest)) == (400, 400)
    assert (delete("child"), delete(child.digest)) == (202, 405)
    assert (delete("index"), delete(index.digest), delete(child.digest)) == (202, 202, 202)
    assert delete("sha256:short") == 400


# Uploading


def test_no_mount_opens_an_upload() -> None:
    """The client sends its bytes then."""
    here = front("no-mount")
    digest = upload_blob(here.registry, "origin", b"data")

    mounted = drive(mount_blob("a", digest, "origin"), here.handle)

    assert isinstance(mounted, Upload)
    assert drive(push_blob("a", Descriptor.of("x", b"data"), Bytes(b"data"), mounted), here.handle)
    assert has(here, digest)


def test_an_anonymous_mount_is_refused() -> None:
    """One that says where from is not."""
    here = front("anonymous-mount-refused")
    digest = upload_blob(here.registry, "origin", b"data")

    assert ask(here, "POST", f"/v2/a/blobs/uploads/?mount={digest}").status == 400
    assert drive(mount_blob("a", digest, "origin"), here.handle) is True


def test_a_single_post_is_forgotten() -> None:
    """It's an upload with nothing in it, and the blob isn't there."""
    here = front("no-single-post")
    posted = drive(post_blob("a", Digest.of(b"data"), Bytes(b"data")), here.handle)

    assert isinstance(posted, Upload)
    assert not has(here, Digest.of(b"data"))
    assert drive(push_blob("a", Descriptor.of("x", b"data"), Bytes(b"data"), posted), here.handle)


@pytest.mark.parametrize(
    "quirks",
    [
        ("put-cap",),
        ("put-cap", "patch-cap"),
        ("put-cap", "range-sticks"),
        ("put-cap", "range-sticks", "absolute-location"),
        ("put-cap", "foreign-location"),
    ],
    ids=" ".join,
)
def test_a_large_blob_arrives_in_chunks(quirks: Sequence[str]) -> None:
    """Refused in one piece, it comes in pieces that the registry takes, wherever its uploads are."""
    here = front(*quirks)
    wire = Wire(intercept=lambda request, _: here.handle(request))

    assert drive(push_blob("a", Descriptor.of("x", DATA), Bytes(DATA)), wire)

    assert has(here, Digest.of(DATA))
    sent = [request.body.size for request in wire.seen if request.method == "PATCH"]
    assert len(sent) > 1
    assert max(sent) <= QUIRKS["patch-cap"].number  # type: ignore[operator]  # it has one


def test_caps_and_sticking_ranges() -> None:
    """A PATCH that is too large is a 416, a PUT a 413; the Range of later chunks is that of the first."""
    here = front("patch-cap=4", "put-cap=2", "range-sticks")
    location = ask(here, "POST", "/v2/a/blobs/uploads/").headers["location"]

    first, second = (ask(here, "PATCH", location, b"1234") for _ in range(2))

    assert (first.headers["range"], second.headers["range"]) == ("0-3", "0-3")
    assert ask(here, "GET", location).headers["range"] == "0-7"
    assert ask(here, "PATCH", location, b"12345").status == 416
    assert ask(here, "PUT", f"{location}?digest={Digest.of(b'x')}", b"123").status == 413


def test_where_uploads_are() -> None:
    """On this host with a query, or by another name; relative without the quirk."""
    absolute = ask(front("absolute-location"), "POST", "/v2/a/blobs/uploads/").headers["location"]
    foreign = ask(front("foreign-location"), "POST", "/v2/a/blobs/uploads/").headers["location"]
    on_loopback = front("foreign-location").handle(
        Request("POST", "/v2/a/blobs/uploads/", {**OCTETS, "Host": "127.0.0.1:5000"})
    )

    assert re.fullmatch(rf"{URL}/v2/a/blobs/uploads/[\w-]+\?_state=a%2Bb%3D&empty=", absolute)
    assert foreign.startswith("http://uploads.registry.test/v2/a/blobs/uploads/")
    assert on_loopback.headers["location"].startswith("http://localhost:5000/v2/")


def test_tags_of_a_push_by_digest() -> None:
    """They are passed over, and the answer says nothing of them; the manifest is there."""
    here = front("no-tags-by-digest")
    manifest = tagged(here, "1")
    answer = ask(
        here, "PUT", f"/v2/a/manifests/{manifest.digest}?tag=2&tag=3", manifest.raw, content_type=manifest.media_type
    )

    assert (answer.status, "oci-tag" in answer.headers) == (201, False)
    assert list(tags(here)) == ["1"]


# Reading


def test_no_referrers() -> None:
    """No list, and no word that there will be one."""
    here = front("no-referrers-api")
    manifest = tagged(here, "1")
    blobs, signature = image("signature", subject=manifest.descriptor.to_json())
    for blob in blobs:
        upload_blob(here.registry, "a", blob)

    put = ask(here, "PUT", f"/v2/a/manifests/{signature.digest}", signature.raw, content_type=signature.media_type)

    assert (put.status, "oci-subject" in put.headers) == (201, False)
    assert ask(here, "GET", f"/v2/a/referrers/{manifest.digest}").status == 404


@pytest.mark.parametrize(
    ("name", "missing"), [("no-digest-header", "docker-content-digest"), ("no-head-length", "content-length")]
)
def test_headers_that_are_missing(name: str, missing: str) -> None:
    """Nowhere, or not in answers to HEAD; all else is there."""
    here = front(name)
    manifest = tagged(here, "1")
    for path in ("manifests/1", f"manifests/{manifest.digest}", f"blobs/{manifest.blobs[0].digest}"):
        head = ask(here, "HEAD", f"/v2/a/{path}")
        assert missing not in head.headers
        assert "content-type" in head.headers
    assert ask(here, "GET", "/v2/a/manifests/1").read(1 << 20) == manifest.raw


def test_null_for_no_tags() -> None:
    """A repository without tags says null; one with tags lists them."""
    here = front("tags-null")
    tagged(here, "1")
    upload_blob(here.registry, "empty", b"data")

    assert ask(here, "GET", "/v2/empty/tags/list").json(1000) == {"name": "empty", "tags": None}
    assert drive(list_tags("empty"), here.handle) == ()
    assert drive(list_tags("a"), here.handle) == ("1",)


def test_small_pages() -> None:
    """Tags and referrers come N at a time, whatever was asked for; all pages together are all."""
    here = front("small-pages=2")
    manifest = tagged(here, *"12345")
    signatures = set()
    for number in range(5):
        blobs, signature = image(f"signature {number}", subject=manifest.descriptor.to_json())
        for blob in blobs:
            upload_blob(here.registry, "a", blob)
        drive(put_manifest("a", signature.digest, signature), here.registry.handle)
        signatures.add(signature.digest)

    assert ask(here, "GET", "/v2/a/tags/list?n=100").json(1000)["tags"] == ["1", "2"]
    assert ask(here, "GET", "/v2/a/tags/list?n=1").json(1000)["tags"] == ["1"]
    assert len(ask(here, "GET", f"/v2/a/referrers/{manifest.digest}").json(1 << 16)["manifests"]) == 2
    assert drive(list_tags("a"), here.handle) == tuple("12345")
    assert {each.digest for each in drive(list_referrers("a", manifest.digest), here.handle)} == signatures


def test_schema_1() -> None:
    """A Docker image by its tag, in both methods alike; by its digest it's itself, and an OCI image always is."""
    here = front("schema1")
    oci = tagged(here, "oci")
    document = {**json.loads(oci.raw), "mediaType": mediatype.DOCKER_MANIFEST}
    docker = Manifest(mediatype.DOCKER_MANIFEST, canonical_json(document))
    drive(put_manifest("a", "docker", docker), here.handle)

    get, head = (ask(here, method, "/v2/a/manifests/docker") for method in ("GET", "HEAD"))
    raw = get.body.read()

    assert get.headers == head.headers
    assert get.headers["content-type"] == mediatype.DOCKER_SCHEMA1_SIGNED
    assert get.headers["docker-content-digest"] == Digest.of(raw)
    old = json.loads(raw)
    assert old["schemaVersion"] == 1
    assert [layer["blobSum"] for layer in old["fsLayers"]] == [layer.digest for layer in docker.layers]
    assert len(old["history"]) == len(old["fsLayers"])
    assert drive(get_manifest("a", docker.digest), here.handle).raw == docker.raw
    assert drive(get_manifest("a", "oci"), here.handle).raw == oci.raw


# All requests


def test_lag() -> None:
    """N reads show what was there: nothing at a new digest and tag, the old place of one that moved."""
    here = front("lag=2")
    old = tagged(here, "1")
    new, other = image("new")[1], image("other")[1]
    for content in ("new", "other"):
        for blob in image(content)[0]:
            upload_blob(here.registry, "a", blob)
    drive(put_manifest("a", "1", new), here.handle)
    drive(put_manifest("a", other.digest, other), here.handle)

    seen = [drive(get_manifest("a", "1"), here.handle).digest for _ in range(3)]
    assert seen == [old.digest, old.digest, new.digest]
    for _ in range(2):
        with pytest.raises(NotFound):
            drive(get_manifest("a", other.digest), here.handle)
    assert drive(get_manifest("a", other.digest), here.handle).raw == other.raw
    drive(put_manifest("a", "1", new), here.handle)
    assert drive(get_manifest("a", "1"), here.handle).raw == new.raw
    put = ask(here, "PUT", f"/v2/a/manifests/{old.digest}?tag=1&tag=2", old.raw, content_type=old.media_type)
    assert put.headers["oci-tag"] == "1, 2"
    assert drive(get_manifest("a", "1"), here.handle).raw == new.raw
    with pytest.raises(NotFound):
        drive(get_manifest("a", "2"), here.handle)


def test_warnings_are_in_every_answer() -> None:
    """Also in refusals, and as the specification writes them."""
    here = front("warning", "read-only")

    for answer in (ask(here, "GET", "/v2/"), ask(here, "POST", "/v2/a/blobs/uploads/"), ask(here, "GET", "/nothing")):
        assert read_warnings(answer.headers["warning"]) == (WARNING,)


@pytest.mark.parametrize("dialect", ["seconds", "date", "unix"])
def test_each_dialect_of_retry_after(dialect: str) -> None:
    """Every so many requests one is refused, and the client reads from it how long to wait."""
    here = front(f"rate-limit-{dialect}=30")
    answers = [ask(here, "GET", "/v2/") for _ in range(2 * EVERY)]

    assert [number for number, answer in enumerate(answers) if answer.status == 429] == [0, EVERY]
    said = answers[0].headers["retry-after"]
    asked = retry_after(said, time.time())
    assert asked is not None
    assert 25 < asked <= 30
    forms = {"seconds": said == "30", "unix": said.isdecimal() and int(said) > time.time()}
    assert forms.get(dialect, True)
    assert dialect != "date" or parsedate_to_datetime(said).tzinfo is not None


def test_a_blob_is_there_under_any_name_of_its_upload() -> None:
    """The upload at another host is the registry's own: what was sent there is found here."""
    here = front("foreign-location")
    blob = Descriptor.of("x", b"data")

    assert drive(push_blob("a", blob, Bytes(b"data")), here.handle)
    assert drive(head_blob("a", blob), here.handle)
