from __future__ import annotations

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import (
    AccessDenied,
    ContentMismatch,
    NotFound,
    ProtocolError,
    Unavailable,
    UnexpectedStatus,
    UsageError,
)
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest, assemble_index, canonical_json
from regkit.protocol.flow import Request, Response, drive
from regkit.protocol.manifest import delete_manifest, get_manifest, head_manifest, put_manifest, put_tagged
from tests.protocol.support import Script, Wire, errors, finish, image, reply

RAW = b'{ "schemaVersion": 2,\n\t"layers": [] }'
DIGEST = Digest.of(RAW)
OTHER = Digest.of(b"other")
MANIFEST = Manifest(mediatype.OCI_MANIFEST, RAW)


def test_round_trip() -> None:
    """What was written under a tag is found by tag and by digest, byte for byte, and described by HEAD."""
    registry = DevRegistry()
    written = image(registry, "a/b", "1")

    for name in ("1", written.digest):
        assert drive(head_manifest("a/b", name), registry.handle) == written.descriptor
        assert drive(get_manifest("a/b", name), registry.handle) == written


def test_what_is_not_there() -> None:
    """HEAD answers None; GET is a NotFound that names what and where."""
    registry = DevRegistry()

    assert drive(head_manifest("a", "1"), registry.handle) is None
    with pytest.raises(NotFound, match=r"can't read 1 in a: .* 404 Not Found \(MANIFEST_UNKNOWN"):
        drive(get_manifest("a", "1"), registry.handle)


def test_all_media_types_are_asked_for() -> None:
    """A registry that isn't told so converts an index, or hides it."""
    wire = Wire()
    image(wire.registry, "a", "1")

    drive(head_manifest("a", "1"), wire)
    drive(get_manifest("a", "1"), wire)

    for request in wire.seen:
        assert {mediatype.OCI_INDEX, mediatype.DOCKER_INDEX} < set(request.headers["Accept"].split(", "))


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"docker_content_digest": DIGEST, "content_type": mediatype.OCI_MANIFEST}, id="no length"),
        pytest.param({"content_length": "39", "content_type": mediatype.OCI_MANIFEST}, id="no digest"),
        pytest.param({"docker_content_digest": DIGEST, "content_length": "39"}, id="no type"),
        pytest.param(
            {"docker_content_digest": DIGEST, "content_length": "-1", "content_type": mediatype.OCI_MANIFEST},
            id="no valid length",
        ),
        pytest.param(
            {"docker_content_digest": DIGEST, "content_length": "39", "content_type": "application/json"},
            id="a type that says nothing",
        ),
    ],
)
def test_an_old_registrys_head(headers: dict[str, str]) -> None:
    """Where HEAD leaves something out, the bytes themselves tell; no registry is taken for empty because of it."""
    script = Script([reply(200, **headers), reply(200, RAW, content_type=mediatype.OCI_MANIFEST)])

    assert drive(head_manifest("a", "1"), script) == MANIFEST.descriptor
    assert [request.method for request in script.seen] == ["HEAD", "GET"]


def test_a_head_with_everything_is_enough() -> None:
    """Costs no pull at a hub: nothing is read. Parameters of the Content-Type don't count."""
    answer = reply(
        200,
        docker_content_digest=DIGEST,
        content_length="39",
        content_type=f"{mediatype.OCI_MANIFEST}; charset=utf-8",
    )

    assert finish(head_manifest("a", "1"), answer) == Descriptor(mediatype.OCI_MANIFEST, DIGEST, 39)


@pytest.mark.parametrize("digest", ["sha256:../../etc", "md5:00", ""])
def test_a_digest_that_is_none_is_the_registrys_fault(digest: str) -> None:
    """What a registry calls a digest is checked before it is used."""
    head = reply(200, docker_content_digest=digest, content_length="39", content_type=mediatype.OCI_MANIFEST)

    with pytest.raises(ProtocolError, match="gave an invalid digest"):
        finish(head_manifest("a", "1"), head)
    with pytest.raises(ProtocolError, match="gave an invalid digest"):
        finish(get_manifest("a", "1"), reply(200, RAW, docker_content_digest=digest))


def test_other_bytes_than_the_digest_are_refused() -> None:
    """A manifest asked for by digest has that digest, whatever its header says; one by tag has its header's."""
    with pytest.raises(ContentMismatch, match=f"doesn't have the digest {OTHER}"):
        finish(get_manifest("a", OTHER), reply(200, RAW, docker_content_digest=OTHER))
    with pytest.raises(ContentMismatch, match=f"doesn't have the digest {OTHER}"):
        finish(get_manifest("a", "1"), reply(200, RAW, docker_content_digest=OTHER))


def test_a_header_is_no_help_where_the_digest_is_known() -> None:
    """By digest, only the bytes count."""
    wrong_header = reply(200, RAW, docker_content_digest=OTHER, content_type=mediatype.OCI_MANIFEST)

    assert finish(get_manifest("a", DIGEST), wrong_header) == MANIFEST
    sha512 = Digest.of(RAW, "sha512")
    assert finish(get_manifest("a", sha512), reply(200, RAW)).raw == RAW


def test_a_manifest_by_tag_without_a_digest() -> None:
    """Nothing can be compared then: the bytes count, and their digest is computed."""
    assert finish(get_manifest("a", "1"), reply(200, RAW)).digest == DIGEST


def test_a_huge_manifest_is_not_read() -> None:
    """More than 4 MiB are refused, in both directions, before a registry is asked where that can be known."""
    with pytest.raises(ProtocolError, match="larger than 4194304 bytes"):
        finish(get_manifest("a", "1"), reply(200, b" " * (MAX_SIZE + 1)))
    with pytest.raises(UsageError, match="larger than the 4194304 bytes"):
        finish(put_manifest("a", "1", Manifest(mediatype.OCI_MANIFEST, b" " * (MAX_SIZE + 1))))


def test_the_bytes_are_written_as_they_are() -> None:
    """The PUT carries the manifest's own bytes and media type, and asks for the right to push."""
    script = Script([reply(201, docker_content_digest=DIGEST)])

    drive(put_manifest("a/b", "1.2", MANIFEST), script)

    (request,) = script.seen
    assert (request.method, request.url) == ("PUT", "/v2/a/b/manifests/1.2")
    assert request.headers == {"Content-Type": mediatype.OCI_MANIFEST}
    assert request.body.open().read() == RAW
    assert str(request.scope) == "repository:a/b:pull,push"


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_registry_that_took_it(status: int) -> None:
    """A registry need not say which digest it stored."""
    assert finish(put_manifest("a", "1", MANIFEST), reply(status)) is None


def test_a_registry_that_stored_something_else() -> None:
    """A registry that rewrites manifests is found out at once."""
    with pytest.raises(ContentMismatch, match=f"stored {OTHER} instead of {DIGEST}"):
        finish(put_manifest("a", "1", MANIFEST), reply(201, docker_content_digest=OTHER))


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (400, errors(("MANIFEST_INVALID", "no")), ProtocolError, "MANIFEST_INVALID: no"),
        (403, b"", AccessDenied, "403 Forbidden"),
        (413, b"", ProtocolError, "413"),
        (503, b"", Unavailable, "503"),
    ],
)
def test_a_registry_that_refuses_a_manifest(status: int, body: object, kind: type[Exception], said: str) -> None:
    """The error says what was written where, and the registry's own reason."""
    with pytest.raises(kind, match=f"can't write 1 in a: .*{said}"):
        finish(put_manifest("a", "1", MANIFEST), reply(status, body))


TORN = errors(("DIGEST_INVALID", "it did not match"), ("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"))


@pytest.mark.parametrize("times", [1, 4])
def test_a_registry_that_contradicts_itself_is_asked_again(times: int) -> None:
    """It calls what it has unknown and its digest wrong, while somebody else writes the same: then it takes it."""
    wire = Wire()
    written = image(wire.registry, "a")
    index = assemble_index([written.descriptor], {})
    refusals = {written.digest: times, index.digest: times}

    def torn(request: Request, _: DevRegistry) -> Response | None:
        name = request.url.rpartition("/")[2]
        if request.method != "PUT" or not refusals[Digest(name)]:
            return None
        refusals[Digest(name)] -= 1
        return reply(400, TORN)

    wire.intercept = torn
    for manifest in (written, index):
        assert drive(put_manifest("a", manifest.digest, manifest), wire) is None
        assert drive(get_manifest("a", manifest.digest), wire.registry.handle) == manifest
        assert wire.methods == ["PUT", *["HEAD", "PUT"] * times]
        wire.seen.clear()


@pytest.mark.parametrize("kind", ["image", "index"])
def test_what_is_unknown_indeed_is_said_at_once(kind: str) -> None:
    """What it calls unknown isn't there; or it never takes it, and then it's asked for no longer."""
    wire = Wire(intercept=lambda request, _: reply(400, TORN) if request.method == "PUT" else None)
    elsewhere = image(DevRegistry(), "a")
    manifest = elsewhere if kind == "image" else assemble_index([elsewhere.descriptor], {})

    with pytest.raises(UnexpectedStatus, match=r"DIGEST_INVALID.*MANIFEST_BLOB_UNKNOWN"):
        drive(put_manifest("a", "1", manifest), wire)
    assert wire.methods == ["PUT", "HEAD"]

    image(wire.registry, "a")
    with pytest.raises(UnexpectedStatus, match=r"DIGEST_INVALID.*MANIFEST_BLOB_UNKNOWN"):
        drive(put_manifest("a", "1", elsewhere), wire)
    assert wire.methods.count("PUT") == 1 + 5


def test_failing_lookups_are_no_absence() -> None:
    """Only a 404 means that a manifest isn't there."""
    for status, kind in ((401, AccessDenied), (500, Unavailable)):
        with pytest.raises(kind, match="can't look up 1 in a"):
            finish(head_manifest("a", "1"), reply(status))


def test_deletion_takes_all_tags_along() -> None:
    """A manifest is deleted by digest, with every tag on it; twice is no failure."""
    wire = Wire()
    written = image(wire.registry, "a", "1", "latest")

    assert drive(delete_manifest("a", written.digest), wire)
    assert drive(delete_manifest("a", written.digest), wire)

    assert drive(head_manifest("a", "latest"), wire) is None
    assert str(wire.seen[0].scope) == "repository:a:delete,pull,push"


@pytest.mark.parametrize("status", [400, 405, 415, 501])
def test_a_registry_that_cannot_delete(status: int) -> None:
    """Cannot is an answer, not an error: the verb decides."""
    assert not finish(delete_manifest("a", DIGEST), reply(status))


def test_a_deletion_that_is_refused() -> None:
    """Missing rights are an error that says what couldn't be deleted."""
    with pytest.raises(AccessDenied, match=f"can't delete the manifest {DIGEST} of a"):
        finish(delete_manifest("a", DIGEST), reply(403))


def test_a_registry_may_answer_with_another_algorithm() -> None:
    """A manifest that was pushed by its sha512 has that digest, and a wrong one is found out as well."""
    sha512 = Digest.of(RAW, "sha512")

    finish(put_manifest("a", sha512, MANIFEST), reply(201, docker_content_digest=sha512))
    with pytest.raises(ContentMismatch, match="stored sha512"):
        finish(put_manifest("a", "1", MANIFEST), reply(201, docker_content_digest=Digest.of(b"x", "sha512")))


def test_a_registry_that_knows_no_head() -> None:
    """405 to HEAD proves nothing: the manifest is read instead, and may be missing then."""
    sha512 = Digest.of(RAW, "sha512")
    read = reply(200, RAW, content_type=mediatype.OCI_MANIFEST)

    assert finish(head_manifest("a", "1"), reply(405), read) == MANIFEST.descriptor
    assert finish(head_manifest("a", "1"), reply(405), reply(404)) is None
    read = reply(200, RAW, content_type=mediatype.OCI_MANIFEST)
    assert finish(head_manifest("a", sha512), reply(405), read) == Descriptor(mediatype.OCI_MANIFEST, sha512, len(RAW))


def with_subject(subject: object) -> Manifest:
    return Manifest(mediatype.OCI_MANIFEST, canonical_json({"layers": [], "subject": subject}))


def test_a_registry_that_lists_referrers_says_so() -> None:
    """`OCI-Subject` in the answer: nothing is left to do. Without it, the subject's list is the client's."""
    referrer = with_subject(MANIFEST.descriptor.to_json())

    assert finish(put_manifest("a", "1", referrer), reply(201, oci_subject=DIGEST)) is None
    assert finish(put_manifest("a", "1", referrer), reply(201)) == DIGEST


def test_a_broken_subject_is_not_sent() -> None:
    """What refers to nothing that can be named is refused before it is sent."""
    with pytest.raises(ProtocolError, match="lacks its mediaType or digest"):
        finish(put_manifest("a", "1", with_subject({})))


def test_tags_come_with_a_push_by_digest() -> None:
    """One request; the tags stand on the manifest, and are told."""
    wire = Wire()
    written = image(wire.registry, "a")
    wire.seen.clear()

    assert drive(put_tagged("a", written.digest, written, ("1", "1.2", "latest")), wire) == ("1", "1.2", "latest")
    assert [(request.method, request.url) for request in wire.seen] == [
        ("PUT", f"/v2/a/manifests/{written.digest}?tag=1&tag=1.2&tag=latest")
    ]
    for tag in ("1", "1.2", "latest"):
        assert drive(get_manifest("a", tag), wire) == written


@pytest.mark.parametrize(
    ("answer", "done"),
    [
        (reply(201), ()),
        (reply(201, oci_tag="1, 1.2"), ("1", "1.2")),
        (reply(201, oci_tag="latest,other,1.2.3"), ("latest",)),
        *((reply(status), ()) for status in (400, 404, 405, 414, 431, 501)),
    ],
)
def test_only_tags_that_are_named_in_the_answer_count(answer: Response, done: tuple[str, ...]) -> None:
    """A registry that ignores them, takes some, or refuses so long a query: nothing is taken for granted."""
    assert finish(put_tagged("a", DIGEST, MANIFEST, ("1", "1.2", "latest")), answer) == done


def test_a_push_with_tags_that_fails() -> None:
    """Other refusals, and other bytes than were sent, are errors as with a plain push."""
    with pytest.raises(AccessDenied, match="can't write 1, 2 in a"):
        finish(put_tagged("a", DIGEST, MANIFEST, ("1", "2")), reply(403))
    with pytest.raises(ContentMismatch, match="the registry stored"):
        finish(put_tagged("a", DIGEST, MANIFEST, ("1",)), reply(201, docker_content_digest=OTHER, oci_tag="1"))
