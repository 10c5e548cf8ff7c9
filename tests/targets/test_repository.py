from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.server import Server, running
from regkit.errors import AccessDenied, ContentMismatch, Interrupted, NotFound, RegkitError
from regkit.events import BlobPushed, Event, ManifestPushed, RequestServed
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.reference import Reference
from regkit.ops.tasks import each
from regkit.protocol.auth import Login
from regkit.protocol.flow import Bytes
from regkit.targets.layout import Layout
from regkit.targets.repository import Repository
from regkit.targets.target import Target, digest_or_none
from regkit.targets.verified import read_all
from regkit.transport.credentials import Credentials
from regkit.transport.session import Session
from tests.support.registries import distribution
from tests.transport.support import http, serving

DATA = b"a layer's bytes"
BLOB = Descriptor.of(mediatype.OCI_LAYER_GZIP, DATA)
EMPTY = Descriptor.of(mediatype.OCI_EMPTY, b"{}")
INDEX = assemble_index((), {"k": "v"})


@pytest.fixture
def server() -> Iterator[Server]:
    with running(DevRegistry()) as server:
        yield server


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def session(events: list[Event]) -> Iterator[Session]:
    with Session(report=events.append) as session:
        yield session


@pytest.fixture
def repository(server: Server, session: Session) -> Repository:
    return Repository(session, Reference(server.host, "a/b"))


def test_round_trip(repository: Repository, events: list[Event]) -> None:
    """What is pushed is found again, under its name and by digest, and each arrival is reported."""
    target: Target = repository
    with target:
        target.push(BLOB, Bytes(DATA))
        target.push(INDEX.descriptor, Bytes(INDEX.raw))
        target.push(INDEX.descriptor, Bytes(INDEX.raw), "1.2")

        assert target.tags() == ("1.2",)
        assert target.resolve("1.2") == target.resolve(INDEX.digest) == INDEX.descriptor
        assert target.manifest("1.2") == INDEX
        assert target.exists(BLOB)
        assert target.exists(INDEX.descriptor)
        assert read_all(target.fetch(BLOB), 100) == DATA
    assert events == [
        BlobPushed(BLOB),
        ManifestPushed(INDEX.descriptor),
        ManifestPushed(INDEX.descriptor, "1.2"),
    ]


def test_what_is_not_there(repository: Repository) -> None:
    """Absence is an answer where one asks, and a NotFound where one reads."""
    assert repository.tags() == repository.admit() == ()
    assert repository.resolve("1.2") is None
    assert not repository.exists(BLOB)
    assert not repository.exists(INDEX.descriptor)
    with pytest.raises(NotFound):
        repository.manifest("1.2")
    with pytest.raises(NotFound), repository.fetch(BLOB).open() as stream:
        stream.read()


def test_untag(repository: Repository) -> None:
    """A tag goes alone: its manifest stays."""
    repository.push(INDEX.descriptor, Bytes(INDEX.raw), "1")

    assert repository.untag("1")
    assert repository.tags() == ()
    assert repository.exists(INDEX.descriptor)


def test_delete(repository: Repository) -> None:
    """A manifest goes with all its tags, a blob alone."""
    repository.push(INDEX.descriptor, Bytes(INDEX.raw), "1")
    repository.push(BLOB, Bytes(DATA))

    assert repository.delete(INDEX.descriptor)
    assert repository.delete(BLOB)
    assert repository.tags() == ()
    assert not repository.exists(INDEX.descriptor)
    assert not repository.exists(BLOB)


def test_mount(server: Server, repository: Repository, session: Session) -> None:
    """A blob of another repository of the registry is there without its bytes being sent."""
    other = Repository(session, Reference(server.host, "other"))
    repository.push(BLOB, Bytes(DATA))

    assert other.mount(BLOB, repository)
    assert other.exists(BLOB)


def test_a_mount_opens_the_upload(session: Session) -> None:
    """What isn't there to be mounted is pushed through the session that the mount opened; one that isn't used ends."""
    served: list[Event] = []
    other = Descriptor.of("application/x", b"not pushed")
    with running(DevRegistry(), report=served.append) as watched:
        origin = Repository(session, Reference(watched.host, "b"))
        with Repository(session, Reference(watched.host, "a")) as target:
            assert not target.mount(BLOB, origin)
            assert not target.mount(other, origin)
            target.push(BLOB, Bytes(DATA))
            assert target.exists(BLOB)

    assert methods(served) == ["POST", "POST", "PUT", "HEAD", "DELETE"]


def methods(served: list[Event]) -> list[str]:
    return [event.method for event in served if isinstance(event, RequestServed)]


def test_the_empty_blob_takes_one_request(session: Session) -> None:
    """The two bytes that every artifact has as its configuration go with the request that begins their upload."""
    served: list[Event] = []
    with running(DevRegistry(), report=served.append) as server:
        repository = Repository(session, Reference(server.host, "a"))
        repository.push(EMPTY, Bytes(b"{}"))
        repository.push(BLOB, Bytes(DATA))

    assert methods(served) == ["POST", "POST", "PUT"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [(ValueError, ["POST", "DELETE"]), (KeyboardInterrupt, ["POST"]), (Interrupted, ["POST"])],
)
def test_uploads_end_with_the_block(session: Session, error: type[BaseException], expected: list[str]) -> None:
    """Uploads that weren't used are cancelled after an error as well, but nobody waits for that after Ctrl-C."""
    served: list[Event] = []
    with running(DevRegistry(), report=served.append) as server:
        origin = Repository(session, Reference(server.host, "b"))
        target = Repository(session, Reference(server.host, "a"))
        target.mount(BLOB, origin)
        with pytest.raises(error), target:
            raise error("it failed")

    assert methods(served) == expected


@pytest.mark.parametrize("answer", [http(202, b"", "Location: /u"), http(405)])
def test_a_registry_that_takes_no_single_post(answer: bytes) -> None:
    """It is asked once; afterwards the empty blob goes the usual way at once."""
    began = http(202, b"", "Location: /u")
    first = [answer, *([] if answer == began else [began]), http(201)]
    with serving([*first, began, http(201)]) as server, Session() as session:
        repository = Repository(session, Reference(server.host, "a"))
        for _ in range(2):
            repository.push(EMPTY, Bytes(b"{}"))

    assert [line.split()[0] for line in server.lines[-4:]] == ["POST", "PUT", "POST", "PUT"]
    assert server.requests[0].endswith(b"{}")
    assert server.lines[-2].startswith("POST /v2/a/blobs/uploads/?mount=")


def test_a_manifest_of_another_algorithm(repository: Repository) -> None:
    """Under a tag it is found by its own digest as well."""
    descriptor = Descriptor(INDEX.media_type, Digest.of(INDEX.raw, "sha512"), len(INDEX.raw))

    repository.push(descriptor, Bytes(INDEX.raw), "1")

    assert repository.resolve(descriptor.digest) == descriptor
    assert repository.tags() == ("1",)


def test_no_mount(repository: Repository, session: Session, tmp_path: Path) -> None:
    """From another registry, from a directory, or of a manifest, nothing is asked."""
    elsewhere = Repository(session, Reference("127.0.0.1:1", "a"))

    assert not elsewhere.mount(BLOB, repository)
    assert not repository.mount(BLOB, Layout(tmp_path, create=True))
    assert not repository.mount(INDEX.descriptor, repository)


def test_referrers(repository: Repository) -> None:
    """What refers to a manifest is listed, all or of one type."""
    document = {**INDEX.document, "artifactType": "application/x", "subject": INDEX.descriptor.to_json()}
    referrer = Manifest(INDEX.media_type, canonical_json(document))
    repository.push(referrer.descriptor, Bytes(referrer.raw))

    assert repository.referrers(INDEX.digest) == (referrer.as_referrer,)
    assert repository.referrers(INDEX.digest, "application/y") == ()


def test_a_blob_can_be_read_again(repository: Repository) -> None:
    """Each opening asks the registry anew, so that a retried upload reads from the beginning."""
    repository.push(BLOB, Bytes(DATA))
    source = repository.fetch(BLOB)

    assert [read_all(source, 100) for _ in range(2)] == [DATA, DATA]


def test_a_download_that_breaks() -> None:
    """Where a connection ends too early, another one brings what didn't arrive, and the whole is checked."""
    data, read = DATA * 40_000, 263_144
    blob = Descriptor.of("application/x", data)
    rest = f"Content-Range: bytes {read}-{len(data) - 1}/{len(data)}"
    answers = [
        http(200, data[:read], length=len(data)),
        http(206, data[read:], rest, length=len(data) - read),
    ]
    with serving(answers) as server, Session() as session:
        repository = Repository(session, Reference(server.host, "a"))

        assert read_all(repository.fetch(blob), len(data)) == data
        assert [server.header(number, "range") for number in range(2)] == [None, f"bytes={read}-"]


def test_a_registry_that_gives_other_bytes() -> None:
    """A blob is checked on the way: other bytes of the same size are an error."""
    with serving([http(200, b"X" + DATA[1:])]) as server, Session() as session:
        repository = Repository(session, Reference(server.host, "a"))
        with pytest.raises(ContentMismatch, match=f"the blob {BLOB.digest} of {server.host}/a has the digest"):
            read_all(repository.fetch(BLOB), 100)


@pytest.mark.parametrize(
    ("login", "who"),
    [
        (Login("bob", "canary", "/home/bob/.docker/config.json"), "the user 'bob' from /home/bob/.docker/config.json"),
        (None, "anonymous .no login for it in /home/bob/.docker/config.json."),
    ],
)
def test_a_closed_door(login: Login | None, who: str) -> None:
    """The error names registry and repository, who was turned away, and where that login came from; no password."""
    denied = http(403, b'{"errors": [{"code": "DENIED", "message": "not for you"}]}')
    with serving([denied]) as server:
        logins = {server.host: login} if login else {}
        credentials = Credentials(logins, "/home/bob/.docker/config.json")
        with Session(credentials) as session, pytest.raises(AccessDenied, match=who) as caught:
            Repository(session, Reference(server.host, "a/b")).admit()

    assert str(caught.value).startswith(f"{server.host}/a/b doesn't let ")
    assert "DENIED: not for you" in str(caught.value)
    assert caught.value.hint is not None
    assert server.host in caught.value.hint
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_a_manifest_of_a_wrong_size_is_not_sent(repository: Repository) -> None:
    """Bytes that can't be a manifest are refused before they are sent."""
    with pytest.raises(RegkitError):
        repository.push(INDEX.descriptor, Bytes(b" " * (5 << 20)))


def test_names_of_things() -> None:
    """What has a colon is a digest; a tag has none."""
    assert digest_or_none("1.2") is None
    assert digest_or_none(BLOB.digest) == BLOB.digest


def test_a_manifest_is_fetched_where_manifests_are(session: Session) -> None:
    """Not among the blobs, where many registries don't have it; by its digest, and checked."""
    served: list[Event] = []
    with running(DevRegistry(), report=served.append) as server:
        repository = Repository(session, Reference(server.host, "a"))
        repository.push(INDEX.descriptor, Bytes(INDEX.raw))
        served.clear()

        assert read_all(repository.fetch(INDEX.descriptor), 1000) == INDEX.raw
        with pytest.raises(ContentMismatch):
            read_all(repository.fetch(replace(INDEX.descriptor, size=7)), 1000)
    paths = [event.path for event in served if isinstance(event, RequestServed)]
    assert paths == [f"/v2/a/manifests/{INDEX.digest}"] * 2


def test_what_a_descriptor_carries_is_not_asked_for(session: Session) -> None:
    """Its content is taken from it, and checked even where nobody did so before."""
    nowhere = Repository(session, Reference("127.0.0.1:1", "a"))
    carrying = replace(EMPTY, extra={"data": "e30="})

    assert read_all(nowhere.fetch(carrying), 10) == b"{}"
    with pytest.raises(ContentMismatch):
        read_all(nowhere.fetch(replace(carrying, extra={"data": "e319"})), 10)


def test_the_size_of_a_blob(repository: Repository) -> None:
    """It is asked for by digest alone."""
    repository.push(BLOB, Bytes(DATA))

    assert repository.size(BLOB.digest) == BLOB.size
    assert repository.size(EMPTY.digest) is None


def test_many_tags_at_once() -> None:
    """A registry that knows how gets ten with each request; what it says that it set is reported."""
    served: list[Event] = []
    tags = [f"1.{number}" for number in range(23)]
    events: list[Event] = []
    with running(DevRegistry(), report=served.append) as server, Session(report=events.append) as reporting:
        repository = Repository(reporting, Reference(server.host, "a"))

        assert repository.push_named(INDEX.descriptor, Bytes(INDEX.raw), tags) == tuple(tags)
        assert sorted(repository.tags()) == sorted(tags)
    assert methods(served) == ["PUT", "PUT", "PUT", "GET"]
    assert events == [ManifestPushed(INDEX.descriptor, tag) for tag in tags]


def test_a_registry_that_sets_no_tags_by_digest_is_asked_once(session: Session, tmp_path: Path) -> None:
    """However many threads want to know: distribution takes the manifest, and says nothing of tags."""
    with distribution(tmp_path / "registry") as registry:
        repository = Repository(session, Reference(registry.host, "a"))
        mark = registry.mark()
        answers = each(lambda n: repository.push_named(INDEX.descriptor, Bytes(INDEX.raw), (f"{n}", "x")), range(8))

        assert answers == [()] * 8
        assert len(registry.writes(mark)) == 1
        assert repository.tags() == ()


def test_what_belongs_on_a_list_is_not_tagged_by_digest(repository: Repository) -> None:
    """What refers to something else, or is known by sha512, goes the way that all registries know."""
    document = {**INDEX.document, "subject": INDEX.descriptor.to_json()}
    referrer = Manifest(INDEX.media_type, canonical_json(document))
    other = Descriptor(INDEX.media_type, Digest.of(INDEX.raw, "sha512"), len(INDEX.raw))

    assert repository.push_named(referrer.descriptor, Bytes(referrer.raw), ("1", "2")) == ()
    assert repository.push_named(other, Bytes(INDEX.raw), ("1", "2")) == ()
    assert repository.tags() == ()
