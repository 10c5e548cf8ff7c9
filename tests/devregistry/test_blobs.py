from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.devregistry.answer import Fault, parse_range
from regkit.devregistry.app import DevRegistry
from regkit.devregistry.call import UNKNOWN_SIZE
from regkit.devregistry.store import MemoryStore
from regkit.devregistry.upload import EXPIRY, MAX_OPEN, Uploads
from regkit.oci.digest import Digest
from regkit.protocol.flow import Bytes, Request, Response

from .support import OCTETS, ask, code, content, push_blob

DATA = bytes(range(256)) * 8
DIGEST = Digest.of(DATA)


def begin(registry: DevRegistry, repository: str = "a") -> str:
    response = ask(registry, "POST", f"/v2/{repository}/blobs/uploads/")
    assert response.status == 202
    return response.headers["location"]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_blob_comes_back(registry: DevRegistry, algorithm: str) -> None:
    """A blob pushed by one POST is pulled byte for byte, with its digest and length, under either algorithm."""
    digest = push_blob(registry, "team/app", DATA, algorithm)

    response = ask(registry, "GET", f"/v2/team/app/blobs/{digest}")

    assert response.status == 200
    assert response.headers["content-length"] == str(len(DATA))
    assert response.headers["docker-content-digest"] == digest
    assert response.headers["docker-distribution-api-version"] == "registry/2.0"
    assert content(response) == DATA


def test_head_has_length_and_no_body(registry: DevRegistry) -> None:
    """HEAD says what GET would, without the bytes; errors have no body either."""
    push_blob(registry, "a", DATA)

    found = ask(registry, "HEAD", f"/v2/a/blobs/{DIGEST}")
    missing = ask(registry, "HEAD", f"/v2/a/blobs/{Digest.of(b'x')}")

    assert (found.status, found.headers["content-length"], found.read(1)) == (200, str(len(DATA)), b"")
    assert (missing.status, missing.read(1)) == (404, b"")


def test_post_then_put(registry: DevRegistry) -> None:
    """POST and PUT push a blob; what both answer names a place that serves it, and the session is over."""
    location = begin(registry)

    response = ask(registry, "PUT", f"{location}?digest={DIGEST}", DATA, OCTETS)

    assert (response.status, response.headers["docker-content-digest"]) == (201, DIGEST)
    assert content(ask(registry, "GET", response.headers["location"])) == DATA
    assert code(ask(registry, "GET", location)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_empty_blob(registry: DevRegistry) -> None:
    """A blob of no bytes is a blob."""
    location = begin(registry)

    assert ask(registry, "PUT", f"{location}?digest={Digest.of(b'')}").status == 201
    assert content(ask(registry, "GET", f"/v2/a/blobs/{Digest.of(b'')}")) == b""


@given(
    data=st.binary(max_size=400),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    ranges=st.booleans(),
    closing=st.booleans(),
    algorithm=st.sampled_from(["sha256", "sha512"]),
    announced=st.booleans(),
)
def test_any_split_is_the_same_blob(
    *, data: bytes, cuts: list[int], ranges: bool, closing: bool, algorithm: str, announced: bool
) -> None:
    """However the bytes are split into chunks, with or without Content-Range, the last one by PATCH or by PUT."""
    registry = DevRegistry()
    digest = Digest.of(data, algorithm)
    query = f"?digest-algorithm={algorithm}" if announced else ""
    location = ask(registry, "POST", f"/v2/a/blobs/uploads/{query}").headers["location"]
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [(start, data[start:end]) for start, end in itertools.pairwise(edges) if end > start]
    last = chunks.pop() if closing and chunks else (0, b"")
    for start, chunk in chunks:
        headers = {"Content-Range": f"{start}-{start + len(chunk) - 1}"} if ranges else {}
        response = ask(registry, "PATCH", location, chunk, headers)
        assert (response.status, response.headers["range"]) == (202, f"0-{start + len(chunk) - 1}")
        location = response.headers["location"]

    closed = ask(registry, "PUT", f"{location}?digest={digest}", last[1])

    assert closed.status == 201
    assert content(ask(registry, "GET", f"/v2/a/blobs/{digest}")) == data


def test_chunks_come_in_order(registry: DevRegistry) -> None:
    """A chunk out of order is a 416 that says how far the session is, by PATCH and by PUT; the session goes on."""
    location = begin(registry)
    assert ask(registry, "PATCH", location, DATA[:100], {"content-range": "0-99"}).status == 202

    for method, url in (("PATCH", location), ("PUT", f"{location}?digest={DIGEST}")):
        refused = ask(registry, method, url, DATA[200:300], {"Content-Range": "200-299"})
        assert (refused.headers["range"], *code(refused)) == ("0-99", 416, "BLOB_UPLOAD_INVALID")
    status = ask(registry, "GET", location)

    assert (status.status, status.headers["range"], status.headers["location"]) == (204, "0-99", location)
    assert ask(registry, "PUT", f"{location}?digest={DIGEST}", DATA[100:]).status == 201


@pytest.mark.parametrize(
    ("content_range", "expected"),
    [
        ("bytes 0-9", (400, "BLOB_UPLOAD_INVALID")),
        ("0-10", (400, "SIZE_INVALID")),
        ("0-8", (400, "SIZE_INVALID")),
        (f"0-{'9' * 5000}", (400, "BLOB_UPLOAD_INVALID")),
    ],
)
def test_content_range_must_be_true(registry: DevRegistry, content_range: str, expected: tuple[int, str]) -> None:
    """A Content-Range in another form, or of another length than the chunk, is refused; nothing is kept of it."""
    location = begin(registry)

    assert code(ask(registry, "PATCH", location, DATA[:10], {"Content-Range": content_range})) == expected
    assert ask(registry, "PUT", f"{location}?digest={DIGEST}", DATA).status == 201


def test_wrong_digest_is_not_kept(registry: DevRegistry) -> None:
    """Content that has another digest is refused, its session ends, and neither digest is there."""
    other, location = Digest.of(b"other"), begin(registry)

    assert code(ask(registry, "PUT", f"{location}?digest={other}", DATA)) == (400, "DIGEST_INVALID")
    assert code(ask(registry, "POST", f"/v2/a/blobs/uploads/?digest={other}", DATA)) == (400, "DIGEST_INVALID")

    assert code(ask(registry, "GET", location)) == (404, "BLOB_UPLOAD_UNKNOWN")
    for digest in (other, DIGEST):
        assert code(ask(registry, "GET", f"/v2/a/blobs/{digest}")) == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("text", ["", "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:" + "A" * 64])
def test_what_is_no_digest_reaches_no_store(registry: DevRegistry, text: str) -> None:
    """A digest that isn't one is refused wherever it stands; the session that it was to close goes on."""
    location = begin(registry)

    assert code(ask(registry, "PUT", f"{location}?digest={text}", DATA)) == (400, "DIGEST_INVALID")
    assert code(ask(registry, "POST", f"/v2/a/blobs/uploads/?digest={text}", DATA)) == (400, "DIGEST_INVALID")
    if text:
        assert code(ask(registry, "GET", f"/v2/a/blobs/{text}")) == (400, "DIGEST_INVALID")
    assert ask(registry, "GET", location).status == 204


def test_unknown_algorithm(registry: DevRegistry) -> None:
    """A session of an algorithm that isn't supported doesn't begin."""
    assert code(ask(registry, "POST", "/v2/a/blobs/uploads/?digest-algorithm=md5")) == (400, "DIGEST_INVALID")


class Short(Bytes):
    """A body that promises more than comes, as when a client goes away."""

    @property
    def size(self) -> int:
        return len(self.data) + 1


class Chunked(Bytes):
    """A body whose length nobody knows."""

    @property
    def size(self) -> int:
        return UNKNOWN_SIZE


def send(registry: DevRegistry, method: str, url: str, body: Bytes) -> Response:
    return registry.handle(Request(method, url, {}, body))


def test_broken_put_can_be_sent_again(registry: DevRegistry) -> None:
    """A PUT that breaks off changes nothing; the same PUT, sent again, closes the session."""
    location = begin(registry)
    assert ask(registry, "PATCH", location, DATA[:100]).status == 202

    assert code(send(registry, "PUT", f"{location}?digest={DIGEST}", Short(DATA[100:200]))) == (400, "SIZE_INVALID")
    assert code(ask(registry, "GET", f"/v2/a/blobs/{DIGEST}")) == (404, "BLOB_UNKNOWN")
    assert ask(registry, "PUT", f"{location}?digest={DIGEST}", DATA[100:]).status == 201


def test_broken_patch_is_resumed(registry: DevRegistry) -> None:
    """A PATCH that breaks off keeps what came; a GET says how far that is, and the rest follows."""
    location = begin(registry)

    assert code(send(registry, "PATCH", location, Short(DATA[:100]))) == (400, "SIZE_INVALID")
    assert ask(registry, "GET", location).headers["range"] == "0-99"
    assert ask(registry, "PATCH", location, DATA[100:], {"Content-Range": f"100-{len(DATA) - 1}"}).status == 202
    assert ask(registry, "PUT", f"{location}?digest={DIGEST}").status == 201


def test_broken_post_leaves_nothing(registry: DevRegistry) -> None:
    """A single POST that breaks off leaves neither a blob nor a repository."""
    response = send(registry, "POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", Short(DATA))

    assert code(response) == (400, "SIZE_INVALID")
    assert code(ask(registry, "GET", "/v2/a/tags/list")) == (404, "NAME_UNKNOWN")


def test_length_need_not_be_known(registry: DevRegistry) -> None:
    """A body without a Content-Length is taken as it comes."""
    location = begin(registry)

    assert send(registry, "PATCH", location, Chunked(DATA)).status == 202
    assert send(registry, "PUT", f"{location}?digest={DIGEST}", Chunked(b"")).status == 201


@pytest.mark.parametrize(("size", "kept"), [(9, "0-8"), (11, "0-0")])
def test_content_range_counts_without_a_length_too(registry: DevRegistry, size: int, kept: str) -> None:
    """A chunk in pieces that isn't as long as its Content-Range is refused: what came stays, unless it is too much."""
    location = begin(registry)
    request = Request("PATCH", location, {"Content-Range": "0-9"}, Chunked(DATA[:size]))

    assert code(registry.handle(request)) == (400, "SIZE_INVALID")
    assert ask(registry, "GET", location).headers["range"] == kept


def test_content_length_must_be_true(registry: DevRegistry) -> None:
    """A Content-Length that isn't the body's is refused."""
    for stated in ("5", "x", "-1"):
        response = ask(registry, "PATCH", begin(registry), DATA, {"Content-Length": stated})
        assert code(response) == (400, "SIZE_INVALID")


def test_canceled_upload_is_gone(registry: DevRegistry) -> None:
    """DELETE ends a session; every later request to it is a 404."""
    location = begin(registry)

    assert ask(registry, "DELETE", location).status == 204
    for method in ("GET", "PATCH", "DELETE"):
        assert code(ask(registry, method, location)) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert code(ask(registry, "PUT", f"{location}?digest={DIGEST}")) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_session_belongs_to_its_repository(registry: DevRegistry) -> None:
    """A session can't be closed into another repository."""
    location = begin(registry, "a").replace("/v2/a/", "/v2/b/")

    assert code(ask(registry, "PUT", f"{location}?digest={DIGEST}", DATA)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_forgotten_session_expires() -> None:
    """A session that nobody uses for an hour is thrown away when the next one begins."""
    now = [0.0]
    uploads = Uploads(MemoryStore(), clock=lambda: now[0])
    old = uploads.begin("a")
    now[0] = EXPIRY
    used = uploads.begin("a")
    now[0] += 1
    uploads.begin("a")

    assert uploads.get("a", used.id) is used
    with pytest.raises(Fault, match="no such upload"):
        uploads.get("a", old.id)


def test_only_so_many_sessions_are_open() -> None:
    """Of more sessions than may be open, those are forgotten that nobody has used for the longest."""
    uploads = Uploads(MemoryStore())
    used, old = uploads.begin("a"), uploads.begin("a")
    uploads.get("a", used.id)
    others = [uploads.begin("a") for _ in range(MAX_OPEN - 1)]

    assert all(uploads.get("a", each.id) is each for each in (used, *others))
    with pytest.raises(Fault, match="no such upload"):
        uploads.get("a", old.id)


def test_session_in_use_is_not_forgotten() -> None:
    """A session to which a request is sending stays, however long ago that began."""
    now = [0.0]
    uploads = Uploads(MemoryStore(), clock=lambda: now[0])
    sending = uploads.begin("a")
    with sending.using():
        now[0] = 2 * EXPIRY
        uploads.begin("a")

    assert uploads.get("a", sending.id) is sending


def test_mount(registry: DevRegistry) -> None:
    """A blob is mounted from the repository that is named, or from any; where there is none, an upload begins."""
    push_blob(registry, "a", DATA)

    for target, origin in (("b", "&from=a"), ("c", "")):
        mounted = ask(registry, "POST", f"/v2/{target}/blobs/uploads/?mount={DIGEST}{origin}")
        assert (mounted.status, mounted.headers["docker-content-digest"]) == (201, DIGEST)
        assert content(ask(registry, "GET", mounted.headers["location"])) == DATA
    for query in (f"mount={DIGEST}&from=nowhere", f"mount={Digest.of(b'x')}"):
        begun = ask(registry, "POST", f"/v2/d/blobs/uploads/?{query}")
        assert begun.status == 202
        assert ask(registry, "PUT", f"{begun.headers['location']}?digest={DIGEST}", DATA).status == 201


def test_mounted_blob_survives_its_origin(registry: DevRegistry) -> None:
    """Deleting a blob in one repository leaves the others theirs."""
    push_blob(registry, "a", DATA)
    ask(registry, "POST", f"/v2/b/blobs/uploads/?mount={DIGEST}&from=a")

    assert ask(registry, "DELETE", f"/v2/a/blobs/{DIGEST}").status == 202
    assert code(ask(registry, "DELETE", f"/v2/a/blobs/{DIGEST}")) == (404, "BLOB_UNKNOWN")
    assert content(ask(registry, "GET", f"/v2/b/blobs/{DIGEST}")) == DATA


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=500-1499", slice(500, 1500)),
        ("bytes=500-", slice(500, None)),
        ("bytes=-500", slice(-500, None)),
        ("bytes=2000-5000", slice(2000, None)),
        ("bytes=-9999", slice(0, None)),
    ],
)
def test_part_of_a_blob(registry: DevRegistry, wanted: str, part: slice) -> None:
    """A range that is asked for is what is sent, with a Content-Range that says so."""
    push_blob(registry, "a", DATA)
    start, stop, _ = part.indices(len(DATA))

    response = ask(registry, "GET", f"/v2/a/blobs/{DIGEST}", headers={"range": wanted})

    assert response.status == 206
    assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"
    assert response.headers["content-length"] == str(stop - start)
    assert content(response) == DATA[part]


@pytest.mark.parametrize("wanted", ["bytes=500-0", "bytes=5000-10000", "bytes=-0"])
def test_range_outside_is_refused(registry: DevRegistry, wanted: str) -> None:
    """A range that has no byte is a 416 that says how many there are."""
    push_blob(registry, "a", DATA)

    response = ask(registry, "GET", f"/v2/a/blobs/{DIGEST}", headers={"Range": wanted})

    assert (response.status, response.headers["content-range"]) == (416, f"bytes */{len(DATA)}")


@given(size=st.integers(0, 50), first=st.integers(0, 60), last=st.integers(0, 60))
def test_ranges_are_slices(size: int, first: int, last: int) -> None:
    """A range is the slice of the same bounds, or refused where that slice is empty."""
    for text, expected in (
        (f"bytes={first}-{last}", range(size)[first : last + 1]),
        (f"bytes={first}-", range(size)[first:]),
    ):
        if expected:
            assert parse_range(text, size) == expected
        else:
            with pytest.raises(Fault, match="only"):
                parse_range(text, size)


@pytest.mark.parametrize("text", [None, "bytes=-", "bytes=0-1,3-4", "lines=0-1", "bytes", f"bytes={'1' * 5000}-"])
def test_range_that_is_not_understood_is_ignored(text: str | None) -> None:
    """Another unit, or several ranges at once, get all of it."""
    assert parse_range(text, 10) is None


def test_large_blob_is_hashed_as_it_comes(registry: DevRegistry) -> None:
    """A blob of many pieces has the digest of all its bytes."""
    data = bytes(1 << 20) + DATA
    location = begin(registry)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"

    assert ask(registry, "PATCH", location, data[: 1 << 19]).status == 202
    assert ask(registry, "PUT", f"{location}?digest={digest}", data[1 << 19 :]).status == 201
    assert content(ask(registry, "GET", f"/v2/a/blobs/{digest}")) == data
