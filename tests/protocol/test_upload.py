from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import ContentMismatch, ProtocolError, Unavailable
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.protocol import upload as module
from regkit.protocol.blob import push_blob
from regkit.protocol.flow import Bytes, Request, Response, drive
from regkit.protocol.upload import (
    BREAKS,
    CHUNK,
    MAX_CHUNK,
    Upload,
    ask_upload,
    begin_upload,
    cancel_upload,
    finish_upload,
    mount_blob,
    post_blob,
    send_chunk,
)
from tests.protocol.support import ORIGIN, Intercept, Script, Wire, finish, reply, upload

DATA = bytes(range(256)) * 16
BLOB = Descriptor.of("application/octet-stream", DATA)
SESSION = Upload(f"{ORIGIN}/v2/a/blobs/uploads/1")
PIECE = 1000


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", PIECE)


small_chunks = pytest.mark.usefixtures("_small")


def stored(registry: DevRegistry, repository: str = "a") -> bytes | None:
    response = registry.handle(Request("GET", f"/v2/{repository}/blobs/{BLOB.digest}"))
    return response.body.read() if response.status == 200 else None


def begun(wire: Wire) -> Upload:
    session = drive(begin_upload("a", BLOB.digest), wire)
    assert session is not None
    wire.seen.clear()
    return session


def ranges(wire: Wire) -> list[str]:
    return [request.headers["Content-Range"] for request in wire.seen if request.method == "PATCH"]


def test_an_upload_that_begins_nowhere() -> None:
    """A 202 without a Location breaks the specification."""
    with pytest.raises(ProtocolError, match="without a Location"):
        finish(begin_upload("a", BLOB.digest), reply(202))


def test_an_upload_that_begins_at_what_is_no_address() -> None:
    """A Location that can't be one is the registry's fault, said in a sentence."""
    with pytest.raises(ProtocolError, match=r"registry\.test leads to what is no address"):
        drive(begin_upload("a", BLOB.digest), Script([reply(202, location="http://[::1/x")]))


def test_the_algorithm_is_named() -> None:
    """A session for a sha512 says so when it begins, where the mount that would say it isn't taken."""
    script = Script([reply(405), reply(202, location="1")])

    drive(begin_upload("a", Digest.of(DATA, "sha512")), script)

    assert script.urls[0].endswith("&from=a&digest-algorithm=sha512")
    assert script.urls[1] == "/v2/a/blobs/uploads/?digest-algorithm=sha512"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_algorithms(algorithm: str) -> None:
    """A blob arrives under its digest, whichever algorithm that is of."""
    blob = Descriptor("x", Digest.of(DATA, algorithm), len(DATA))
    wire = Wire()

    assert drive(push_blob("a", blob, Bytes(DATA)), wire)
    assert not drive(push_blob("a", blob, Bytes(DATA)), wire)


# Chunks


@small_chunks
def test_an_upload_goes_on_in_chunks() -> None:
    """What the registry hasn't got is sent in order, the last chunk smaller, and closed with the digest."""
    wire = Wire()

    assert drive(finish_upload("a", begun(wire), BLOB.digest, Bytes(DATA)), wire)

    assert stored(wire.registry) == DATA
    assert wire.methods == ["GET", *["PATCH"] * 5, "PUT"]
    assert ranges(wire) == ["0-999", "1000-1999", "2000-2999", "3000-3999", "4000-4095"]
    assert not any(request.replayable for request in wire.seen[1:])
    assert wire.seen[-1].body.size == 0


@small_chunks
def test_an_upload_goes_on_from_where_it_is() -> None:
    """Only what is missing is sent: the registry's own word counts."""
    wire = Wire()
    session = begun(wire)
    wire.registry.handle(Request("PATCH", session.url, body=Bytes(DATA[:1234])))

    assert drive(finish_upload("a", session, BLOB.digest, Bytes(DATA)), wire)

    assert stored(wire.registry) == DATA
    assert ranges(wire)[0] == "1234-2233"


def test_an_upload_that_has_all() -> None:
    """Where everything arrived, only the end is missing."""
    wire = Wire()
    session = begun(wire)
    wire.registry.handle(Request("PATCH", session.url, body=Bytes(DATA)))

    assert drive(finish_upload("a", session, BLOB.digest, Bytes(DATA)), wire)
    assert wire.methods == ["GET", "PUT"]


@small_chunks
def test_the_registry_may_want_larger_chunks() -> None:
    """`OCI-Chunk-Min-Length` of the answer that began the session is what each chunk but the last has at least."""

    def intercept(request: Request, registry: DevRegistry) -> Response | None:
        response = registry.handle(request)
        headers = {**response.headers, "oci-chunk-min-length": "3000"}
        return Response(response.status, headers, response.body, response.url)

    wire = Wire(intercept=intercept)

    assert drive(finish_upload("a", begun(wire), BLOB.digest, Bytes(DATA)), wire)
    assert ranges(wire) == ["0-2999", "3000-4095"]


def test_chunks_are_bounded() -> None:
    """A registry that demands a chunk that doesn't fit into memory gets none."""
    script = Script([])

    assert not drive(finish_upload("a", SESSION._replace(min_chunk=MAX_CHUNK + 1), BLOB.digest, Bytes(DATA)), script)
    assert script.seen == []
    assert CHUNK <= 4 << 20 <= MAX_CHUNK


@pytest.mark.parametrize(("said", "least"), [("4096", 4096), ("", 0), ("-1", 0), ("9" * 40, 0), ("many", 0)])
def test_what_a_registry_wants_of_chunks(said: str, least: int) -> None:
    """A mount's answer says it as well; what isn't a number says nothing."""
    answer = reply(202, location="/v2/a/blobs/uploads/1", oci_chunk_min_length=said)

    mounted = finish(mount_blob("a", BLOB.digest, "b"), answer)

    assert mounted == SESSION._replace(min_chunk=least)


def failing(*outcomes: int | None, arrives: int = 0) -> Intercept:
    """Let chunks fail, with a status or (None) a break, after the registry took `arrives` bytes of each."""
    left: Iterator[int | None] = iter(outcomes)

    def intercept(request: Request, registry: DevRegistry) -> Response | None:
        outcome = next(left, 0) if request.method == "PATCH" else 0
        if outcome == 0:
            return None
        with request.body.open() as stream:
            taken = stream.read(arrives)
        if taken:
            registry.handle(Request("PATCH", request.url, body=Bytes(taken)))
        if outcome is None:
            raise Unavailable("the connection broke")
        return reply(outcome)

    return intercept


@small_chunks
@pytest.mark.parametrize("outcome", [None, 416, 500, 502])
@pytest.mark.parametrize("arrives", [0, 300, PIECE])
def test_a_chunk_that_fails(outcome: int | None, arrives: int) -> None:
    """After a break or a refusal the registry is asked how much it has, and gets the rest of it."""
    wire = Wire(intercept=failing(outcome, arrives=arrives))

    assert drive(finish_upload("a", begun(wire), BLOB.digest, Bytes(DATA)), wire)

    assert stored(wire.registry) == DATA
    assert ranges(wire)[:2] == ["0-999", f"{arrives}-{arrives + 999}"]
    assert wire.methods[:4] == ["GET", "PATCH", "GET", "PATCH"]


@small_chunks
def test_chunks_that_always_fail() -> None:
    """A session that takes no chunk is given up after a few of them."""
    wire = Wire(intercept=failing(*[416] * 100))

    assert not drive(finish_upload("a", begun(wire), BLOB.digest, Bytes(DATA)), wire)
    assert wire.methods.count("PATCH") == BREAKS + 1
    assert wire.methods[-1] == "DELETE"


@small_chunks
def test_a_link_that_keeps_breaking_gets_there() -> None:
    """As long as chunks arrive between the breaks, it goes on."""
    wire = Wire(intercept=failing(*[None, None, None, 0] * 4))

    assert drive(finish_upload("a", begun(wire), BLOB.digest, Bytes(DATA)), wire)
    assert stored(wire.registry) == DATA


@small_chunks
def test_a_range_that_sticks() -> None:
    """Where 202 comes with a Range that never moves (Amazon), what was sent counts, and the digest decides."""

    def intercept(request: Request, registry: DevRegistry) -> Response | None:
        response = registry.handle(request)
        if request.method != "PATCH":
            return response
        return Response(202, {**response.headers, "range": "0-999"}, response.body, response.url)

    wire = Wire(intercept=intercept)

    assert drive(finish_upload("a", begun(wire), BLOB.digest, Bytes(DATA)), wire)
    assert stored(wire.registry) == DATA
    assert wire.methods.count("PATCH") == 5


@pytest.mark.parametrize(
    ("said", "offset"),
    [
        ("0-149", 150),
        ("bytes=0-149", 150),
        ("0-99", 200),
        ("0-49", 200),
        ("0-199", 200),
        ("0-9999", 200),
        ("", 200),
        ("100-149", 200),
    ],
)
def test_how_much_of_a_chunk_was_taken(said: str, offset: int) -> None:
    """Of a chunk at 100 to 199, a Range inside it is believed; any other says nothing."""
    session = SESSION._replace(offset=100)

    sent = finish(send_chunk("a", session, b"x" * 100), reply(202, range=said))

    assert sent == session._replace(offset=offset)


@small_chunks
def test_a_registry_that_takes_less() -> None:
    """Where only a part of each chunk is taken, the next one begins behind it."""

    def intercept(request: Request, registry: DevRegistry) -> Response | None:
        if request.method != "PATCH":
            return None
        with request.body.open() as stream:
            return registry.handle(Request("PATCH", request.url, body=Bytes(stream.read(600))))

    wire = Wire(intercept=intercept)

    assert drive(finish_upload("a", begun(wire), BLOB.digest, Bytes(DATA)), wire)
    assert stored(wire.registry) == DATA
    assert ranges(wire)[:3] == ["0-999", "600-1599", "1200-2199"]


@small_chunks
def test_a_registry_that_forgets() -> None:
    """Where the registry has less than it said before, the source is read again from there."""
    answers = [
        reply(204, range="0-2499"),
        reply(500),
        reply(204, range="0-1499"),
        *(reply(202) for _ in range(3)),
        reply(201),
    ]
    script = Script(answers)

    assert drive(finish_upload("a", SESSION, BLOB.digest, Bytes(DATA)), script)

    bodies = [request.body.open().read() for request in script.seen if request.method == "PATCH"]
    assert bodies == [DATA[2500:3500], DATA[1500:2500], DATA[2500:3500], DATA[3500:]]


@small_chunks
def test_the_session_moves() -> None:
    """Each answer says where the next request goes, in any spelling, and nothing in it is written anew."""
    second, third = "/v2/a/blobs/uploads/2?_state=a%2Bb%3D&e=&k=1&k=2", "3?x"
    url = f"{ORIGIN}/v2/a/blobs/uploads/1"
    script = Script(
        [
            reply(204, range="0-1999", location=second, url=url),
            *(reply(202, location=location, url=url) for location in (third, third)),
            reply(202, url=url),
            reply(201),
        ]
    )

    assert drive(finish_upload("a", SESSION, BLOB.digest, Bytes(DATA)), script)

    assert script.urls == [
        SESSION.url,
        f"{ORIGIN}{second}",
        *[f"{ORIGIN}/v2/a/blobs/uploads/3?x"] * 2,
        f"{ORIGIN}/v2/a/blobs/uploads/3?x&digest={BLOB.digest}",
    ]


@pytest.mark.parametrize(
    "answer", [reply(404), reply(204), reply(204, range="nonsense"), reply(416), reply(204, range="5-9")]
)
def test_a_session_that_is_gone(answer: Response) -> None:
    """One that is unknown, or doesn't say how far it is, can't be gone on with."""
    assert finish(ask_upload("a", SESSION), answer) is None
    answer = Response(answer.status, answer.headers)
    assert finish(finish_upload("a", SESSION, BLOB.digest, Bytes(DATA)), answer) is False


@pytest.mark.parametrize(("said", "offset"), [("0-0", 0), ("0-1", 2), ("bytes 0-9", 10)])
def test_how_far_a_session_is(said: str, offset: int) -> None:
    """`0-0` is how registries write that nothing is there."""
    assert finish(ask_upload("a", SESSION), reply(204, range=said)) == SESSION._replace(offset=offset)


def test_a_registry_that_has_too_much() -> None:
    """More bytes than there are can't be this blob."""
    assert not finish(finish_upload("a", SESSION, BLOB.digest, Bytes(DATA)), reply(204, range="0-9999"), reply(204))


@pytest.mark.parametrize("status", [400, 404, 500])
def test_an_end_that_fails(status: int) -> None:
    """What isn't 201 at the end is no success: the session is replaced by whoever began it."""
    answers = (reply(204, range="0-4095"), reply(status), reply(404))

    assert not finish(finish_upload("a", SESSION, BLOB.digest, Bytes(DATA)), *answers)


def test_an_end_that_breaks() -> None:
    """An upload that may be stored at this moment isn't cancelled."""

    def intercept(request: Request, registry: DevRegistry) -> Response | None:
        del registry
        if request.method == "PUT":
            raise Unavailable("didn't answer in time")
        return None

    wire = Wire(intercept=intercept)

    assert not drive(finish_upload("a", begun(wire), BLOB.digest, Bytes(DATA)), wire)
    assert wire.methods == ["GET", "PATCH", "PUT"]


class Short(Bytes):
    """Content that promises more than it has."""

    @property
    def size(self) -> int:
        return len(DATA) + 100_000

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


@small_chunks
@pytest.mark.parametrize("arrived", [1500, 4096, 9000])
def test_content_that_ends_early(arrived: int) -> None:
    """Content that is shorter than it should be is an error, not an upload without end."""
    answers = (reply(204, range=f"0-{arrived - 1}"), *(reply(202) for _ in range(9)))

    with pytest.raises(ContentMismatch, match="ended before its 104096 bytes"):
        finish(finish_upload("a", SESSION, BLOB.digest, Short(DATA)), *answers)


# Mounts


def test_a_mount() -> None:
    """A blob of another repository is taken over by one request, which asks for the right to read there."""
    wire = Wire()
    upload(wire.registry, "b/c", DATA)

    assert drive(mount_blob("a", BLOB.digest, "b/c"), wire) is True

    assert stored(wire.registry) == DATA
    (request,) = wire.seen
    assert request.url == f"/v2/a/blobs/uploads/?mount={BLOB.digest}&from=b/c"
    assert request.scope is not None
    assert request.scope.entries == ("repository:a:pull,push", "repository:b/c:pull")


def test_a_mount_that_opens_an_upload() -> None:
    """Where nothing is mounted, the session that the answer opened takes the bytes, without another POST."""
    wire = Wire()

    begun = drive(mount_blob("a", BLOB.digest, "b"), wire)
    assert isinstance(begun, Upload)
    assert drive(push_blob("a", BLOB, Bytes(DATA), begun), wire)

    assert stored(wire.registry) == DATA
    assert wire.methods == ["POST", "PUT"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 500])
def test_a_mount_that_is_refused(status: int) -> None:
    """Mounting is a short cut: where it is closed, the way is the usual one."""
    assert finish(mount_blob("a", BLOB.digest, "b"), reply(status)) is False


def test_a_session_of_a_mount_that_is_lost() -> None:
    """A session that a mount left and that is gone is replaced like any other."""
    wire = Wire()

    assert drive(push_blob("a", BLOB, Bytes(DATA), Upload("http://localhost/v2/a/blobs/uploads/gone")), wire)

    assert stored(wire.registry) == DATA
    assert wire.methods == ["PUT", "HEAD", "POST", "PUT"]


def test_an_upload_is_cancelled() -> None:
    """The session is gone; whatever the registry says to that is no failure."""
    wire = Wire()
    begun = drive(begin_upload("a", BLOB.digest), wire)
    assert begun is not None

    drive(cancel_upload("a", begun), wire)
    drive(cancel_upload("a", begun), wire)

    assert wire.registry.handle(Request("GET", begun.url)).status == 404
    assert wire.methods == ["POST", "DELETE", "DELETE"]
    assert not wire.seen[1].replayable


def test_a_cancellation_that_fails() -> None:
    """A registry that can't be reached any more isn't a second failure."""

    def unreachable(request: Request) -> Response:
        raise Unavailable(f"{request.url} can't be reached")

    drive(cancel_upload("a", Upload("/v2/a/blobs/uploads/1")), unreachable)


# Single POST


def test_one_request() -> None:
    """A registry that takes it has the blob after one request."""
    wire = Wire()

    assert drive(post_blob("a", BLOB.digest, Bytes(DATA)), wire) is True

    assert stored(wire.registry) == DATA
    assert wire.methods == ["POST"]
    assert wire.seen[0].headers == {"Content-Type": "application/octet-stream"}


def test_a_single_post_that_opens_a_session() -> None:
    """202 says that the bytes weren't taken: they are sent again, to the session that was opened."""
    wire = Wire()
    session = begun(wire)

    posted = finish(post_blob("a", BLOB.digest, Bytes(DATA)), reply(202, location=session.url))
    assert posted == session
    assert drive(push_blob("a", BLOB, Bytes(DATA), session), wire)

    assert stored(wire.registry) == DATA
    assert wire.methods == ["PUT"]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 413, 500])
def test_a_registry_that_takes_no_single_post(status: int) -> None:
    """Whatever is wrong with it, the usual way is open, or says what is wrong."""
    assert finish(post_blob("a", BLOB.digest, Bytes(DATA)), reply(status)) is False
