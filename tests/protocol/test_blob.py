from __future__ import annotations

from collections.abc import Iterator

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import AccessDenied, ContentMismatch, NotFound, ProtocolError, Unavailable
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.protocol.blob import UPLOAD_TRIES, blob_size, delete_blob, get_blob, head_blob, push_blob
from regkit.protocol.flow import Bytes, Request, Response, drive
from regkit.protocol.upload import BREAKS
from tests.protocol.support import Intercept, Script, Wire, finish, path, reply, upload

DATA = bytes(range(256)) * 16
BLOB = Descriptor.of("application/octet-stream", DATA)


def stored(registry: DevRegistry, repository: str = "a") -> bytes | None:
    response = registry.handle(Request("GET", f"/v2/{repository}/blobs/{BLOB.digest}"))
    return response.body.read() if response.status == 200 else None


def test_a_blob_is_there_or_not() -> None:
    """A blob is found where it was pushed, and nowhere else."""
    registry = DevRegistry()
    upload(registry, "a", DATA)

    assert drive(head_blob("a", BLOB), registry.handle)
    assert not drive(head_blob("b", BLOB), registry.handle)


def test_a_blob_of_another_size_is_an_error() -> None:
    """Content that was cut off at a registry isn't taken for present."""
    with pytest.raises(ContentMismatch, match=r"a has .* with 5 bytes, not 4096"):
        finish(head_blob("a", BLOB), reply(200, content_length="5"))


@pytest.mark.parametrize("headers", [{}, {"content_length": "4096"}, {"content_length": "many"}])
def test_old_registries_need_not_tell_the_size(headers: dict[str, str]) -> None:
    """A size that is missing proves nothing."""
    assert finish(head_blob("a", BLOB), reply(200, **headers))


def test_a_registry_that_knows_no_head() -> None:
    """405 to HEAD proves nothing: the blob is opened instead, and not read."""
    wire = Wire(intercept=lambda request, _: reply(405) if request.method == "HEAD" else None)
    upload(wire.registry, "a", DATA)

    assert drive(head_blob("a", BLOB), wire)
    assert not drive(head_blob("b", BLOB), wire)
    assert all(request.stream for request in wire.seen if request.method == "GET")


def test_a_failing_lookup_is_no_absence() -> None:
    """Only 404 means that a blob isn't there."""
    with pytest.raises(AccessDenied, match=f"can't look up the blob {BLOB.digest} in a"):
        finish(head_blob("a", BLOB), reply(403))


def test_a_blob_is_read_as_a_stream() -> None:
    """A blob's bytes come as a stream that wasn't read at once."""
    wire = Wire()
    upload(wire.registry, "a", DATA)

    with drive(get_blob("a", BLOB.digest), wire) as body:
        assert body.read() == DATA
    assert wire.seen[0].stream


@pytest.mark.parametrize("offset", [0, 1, 1000, len(DATA) - 1])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_blob_is_read_from_the_middle(offset: int, *, ranges: bool) -> None:
    """Only the rest comes; where a registry knows no ranges and sends all of it, the beginning is left out."""
    wire = Wire(intercept=lambda request, registry: None if ranges else registry.handle(Request("GET", request.url)))
    upload(wire.registry, "a", DATA)

    with drive(get_blob("a", BLOB.digest, offset), wire) as body:
        assert body.read() == DATA[offset:]
    assert wire.seen[0].headers == ({"Range": f"bytes={offset}-"} if offset else {})


@pytest.mark.parametrize("said", [{}, {"content_range": "bytes 0-4095/4096"}, {"content_range": "10-4095/4096"}])
def test_another_part_than_asked_for(said: dict[str, str]) -> None:
    """A 206 has to say that it begins where it should: other bytes would be taken for those."""
    with pytest.raises(ProtocolError, match="instead of the bytes from 10 on"):
        finish(get_blob("a", BLOB.digest, 10), reply(206, DATA[10:], **said))


def test_a_part_that_was_not_asked_for() -> None:
    """206 to a request for all of it is no answer."""
    with pytest.raises(ProtocolError, match="206"):
        finish(get_blob("a", BLOB.digest), reply(206, DATA))


def test_the_rest_of_something_shorter() -> None:
    """Where all of it ends before the part that was asked for, nothing comes."""
    assert finish(get_blob("a", BLOB.digest, 5000), reply(200, DATA)).read() == b""


def test_a_blob_that_is_missing() -> None:
    """The error says which blob of which repository."""
    with pytest.raises(NotFound, match=f"can't read the blob {BLOB.digest} of a"):
        drive(get_blob("a", BLOB.digest), DevRegistry().handle)


def test_a_push_brings_the_blob_there_in_two_requests() -> None:
    """POST, then PUT with all bytes: no more round trips than the specification asks for."""
    wire = Wire()

    drive(push_blob("a/b", BLOB, Bytes(DATA)), wire)

    assert stored(wire.registry, "a/b") == DATA
    assert wire.methods == ["POST", "PUT"]
    assert wire.seen[0].headers["Content-Length"] == "0"
    assert not wire.seen[1].replayable
    assert str(wire.seen[1].scope) == "repository:a/b:pull,push"


def test_a_blob_that_is_there_is_not_sent_again() -> None:
    """The request that opens the upload asks for the blob as well: what is there costs one request, and no bytes."""
    wire = Wire()
    upload(wire.registry, "a", DATA)
    wire.seen.clear()

    assert not drive(push_blob("a", BLOB, Bytes(DATA)), wire)
    assert wire.methods == ["POST"]


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_registry_that_refuses_mounts(status: int) -> None:
    """A registry that takes no mount gets a plain upload."""
    began = reply(202, url="https://registry.test/v2/a/blobs/uploads/", location="/v2/a/blobs/uploads/1")
    script = Script([reply(status), began, reply(201)])

    assert drive(push_blob("a", BLOB, Bytes(DATA)), script)
    assert script.urls[1] == "/v2/a/blobs/uploads/"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/a/blobs/uploads/1", "https://registry.test/v2/a/blobs/uploads/1?digest="),
        (
            "2?_state=a%2Bb%3D&e=&k=1&k=2",
            "https://registry.test/v2/a/blobs/uploads/2?_state=a%2Bb%3D&e=&k=1&k=2&digest=",
        ),
        ("https://store.test/x?sig=%2F", "https://store.test/x?sig=%2F&digest="),
        ("//store.test/x", "https://store.test/x?digest="),
    ],
)
def test_the_sessions_url_is_the_registrys(location: str, expected: str) -> None:
    """Relative or absolute, with a query of any spelling: nothing in it is written anew."""
    began = reply(202, url="https://registry.test/v2/a/blobs/uploads/", location=location)
    script = Script([began, reply(201)])

    drive(push_blob("a", BLOB, Bytes(DATA)), script)

    assert script.urls[1] == expected + BLOB.digest


def lost_session(status: int, times: int) -> Intercept:
    """Let the first PUTs find no session any more, as behind a balancer without sticky sessions."""
    left = iter(range(times))

    def intercept(request: Request, registry: DevRegistry) -> Response | None:
        del registry
        return reply(status) if request.method == "PUT" and next(left, None) is not None else None

    return intercept


def test_a_lost_session_is_begun_anew() -> None:
    """Where a session is lost, the blob goes through a new one, after a look whether it arrived."""
    wire = Wire(intercept=lost_session(404, 1))

    drive(push_blob("a", BLOB, Bytes(DATA)), wire)

    assert stored(wire.registry) == DATA
    assert wire.methods == ["POST", "PUT", "HEAD", "POST", "PUT"]
    first, second = (path(request) for request in wire.seen if request.method == "PUT")
    assert first != second


@pytest.mark.parametrize("status", [413, 416, 500, 502, 504])
def test_a_failure_on_the_way_leaves_the_session(status: int) -> None:
    """Where somebody on the way failed, or found it too large, the session goes on in chunks."""
    wire = Wire(intercept=lost_session(status, 1))

    drive(push_blob("a", BLOB, Bytes(DATA)), wire)

    assert stored(wire.registry) == DATA
    assert wire.methods == ["POST", "PUT", "GET", "PATCH", "PUT"]


def test_a_registry_without_chunks() -> None:
    """Where a broken upload can't be gone on with, its session is ended, and the next one begins."""
    left = iter([True])

    def intercept(request: Request, registry: DevRegistry) -> Response | None:
        del registry
        if request.method == "PUT" and next(left, False):
            raise Unavailable("the connection broke")
        return reply(405) if request.method == "PATCH" else None

    wire = Wire(intercept=intercept)

    drive(push_blob("a", BLOB, Bytes(DATA)), wire)

    assert stored(wire.registry) == DATA
    tries = ["GET", "PATCH"] * (BREAKS + 1)
    assert wire.methods == ["POST", "PUT", *tries, "GET", "DELETE", "HEAD", "POST", "PUT"]


def test_sessions_are_not_begun_without_end() -> None:
    """A registry that loses every session is left after a few of them, with its last answer and what may be wrong."""
    wire = Wire(intercept=lost_session(404, 100))

    with pytest.raises(Unavailable, match=f"can't upload the blob {BLOB.digest} to a: .* 404") as caught:
        drive(push_blob("a", BLOB, Bytes(DATA)), wire)

    assert "share their uploads" in str(caught.value.hint)
    assert wire.methods.count("PUT") == UPLOAD_TRIES


def test_an_acknowledgement_that_is_lost() -> None:
    """The registry took the blob, and the connection broke before it said so: the blob isn't sent twice."""

    def intercept(request: Request, registry: DevRegistry) -> Response | None:
        if request.method != "PUT":
            return None
        assert registry.handle(request).status == 201
        raise Unavailable("the connection broke")

    wire = Wire(intercept=intercept)

    drive(push_blob("a", BLOB, Bytes(DATA)), wire)

    assert wire.methods.count("PUT") == 1
    assert stored(wire.registry) == DATA


def breaking(times: int) -> Intercept:
    left: Iterator[int] = iter(range(times))

    def intercept(request: Request, registry: DevRegistry) -> Response | None:
        del registry
        if request.method == "PUT" and next(left, None) is not None:
            raise Unavailable("the connection broke")
        return None

    return intercept


@pytest.mark.parametrize("times", [1, UPLOAD_TRIES - 1])
def test_a_connection_that_breaks_in_the_middle(times: int) -> None:
    """The blob arrives, through the same session or a new one."""
    wire = Wire(intercept=breaking(times))

    drive(push_blob("a", BLOB, Bytes(DATA)), wire)

    assert stored(wire.registry) == DATA
    assert wire.methods.count("PUT") == times + 1
    assert wire.methods.count("POST") == (times + 2) // 2


def test_a_connection_that_always_breaks() -> None:
    """The failure stands after a few tries."""
    wire = Wire(intercept=breaking(100))

    with pytest.raises(Unavailable, match="the connection broke"):
        drive(push_blob("a", BLOB, Bytes(DATA)), wire)

    assert wire.methods.count("POST") == UPLOAD_TRIES


@pytest.mark.parametrize(("status", "kind"), [(401, AccessDenied), (403, AccessDenied), (400, ProtocolError)])
def test_a_refusal_is_final(status: int, kind: type[Exception]) -> None:
    """What a new session can't mend isn't tried again."""
    wire = Wire(intercept=lost_session(status, 100))

    with pytest.raises(kind, match="can't upload the blob"):
        drive(push_blob("a", BLOB, Bytes(DATA)), wire)

    assert wire.methods == ["POST", "PUT", "DELETE"]


def test_what_is_too_large_in_any_size() -> None:
    """413 to everything stands, and the session that was given up is ended."""
    wire = Wire(intercept=lambda request, _: reply(413) if request.method in ("PUT", "PATCH") else None)

    with pytest.raises(ProtocolError, match=f"can't upload the blob {BLOB.digest} to a: .* 413"):
        drive(push_blob("a", BLOB, Bytes(DATA)), wire)

    assert wire.methods.count("POST") == 1
    assert wire.methods[-1] == "DELETE"


def test_bytes_that_are_not_the_blobs_are_refused_by_the_registry() -> None:
    """A registry that checks digests says so; the error carries its code."""
    other = Descriptor("application/octet-stream", Digest.of(b"other"), len(DATA))

    with pytest.raises(ProtocolError, match="DIGEST_INVALID"):
        drive(push_blob("a", other, Bytes(DATA)), DevRegistry().handle)


def test_a_registry_that_begins_no_upload() -> None:
    """Who may not push learns so at the first request."""
    with pytest.raises(AccessDenied, match="can't begin an upload to a"):
        finish(push_blob("a", BLOB, Bytes(DATA)), reply(403))


# Deletion


def test_a_blob_is_deleted() -> None:
    """It is gone; twice is no failure."""
    wire = Wire()
    upload(wire.registry, "a", DATA)

    assert drive(delete_blob("a", BLOB.digest), wire)
    assert drive(delete_blob("a", BLOB.digest), wire)
    assert stored(wire.registry) is None
    assert str(wire.seen[0].scope) == "repository:a:delete,pull,push"


@pytest.mark.parametrize("status", [400, 405, 415, 501])
def test_a_registry_that_deletes_no_blobs(status: int) -> None:
    """Cannot is an answer."""
    assert not finish(delete_blob("a", BLOB.digest), reply(status))


def test_a_deletion_that_is_refused() -> None:
    """Missing rights are an error that says what couldn't be deleted."""
    with pytest.raises(AccessDenied, match=f"can't delete the blob {BLOB.digest} of a"):
        finish(delete_blob("a", BLOB.digest), reply(403))


@pytest.mark.parametrize(
    ("answers", "size"),
    [
        ([reply(200, content_length="7")], 7),
        ([reply(404)], None),
        ([reply(200), reply(200, DATA, content_length="7")], 7),
        ([reply(405), reply(200, DATA, content_length="7")], 7),
        ([reply(200), reply(404)], None),
    ],
)
def test_the_size_of_a_blob(answers: list[Response], size: int | None) -> None:
    """HEAD tells it, or that there is none; where it doesn't, GET does."""
    assert finish(blob_size("a", BLOB.digest), *answers) == size


def test_a_size_that_nobody_tells() -> None:
    """That is the registry's fault; a closed door is none of an absent blob."""
    with pytest.raises(ProtocolError, match="doesn't tell the size"):
        finish(blob_size("a", BLOB.digest), reply(200), reply(200, DATA))
    with pytest.raises(AccessDenied):
        finish(blob_size("a", BLOB.digest), reply(403))
