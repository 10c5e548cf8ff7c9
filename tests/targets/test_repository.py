from __future__ import annotations

from collections.abc import Iterator

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.server import Server, running
from regkit.errors import AccessDenied, ContentMismatch, NotFound, RegkitError
from regkit.events import BlobPushed, Event, ManifestPushed
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import assemble_index
from regkit.oci.reference import Reference
from regkit.protocol.auth import Login
from regkit.protocol.flow import Bytes
from regkit.targets.repository import Repository
from regkit.targets.target import Target, digest_or_none
from regkit.targets.verified import read_all
from regkit.transport.credentials import Credentials
from regkit.transport.session import Session
from tests.transport.support import http, serving

DATA = b"a layer's bytes"
BLOB = Descriptor.of(mediatype.OCI_LAYER_GZIP, DATA)
INDEX = assemble_index((), {"k": "v"})


@pytest.fixture
def server() -> Iterator[Server]:
    with running(DevRegistry()) as server:
        yield server


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def repository(server: Server, events: list[Event]) -> Iterator[Repository]:
    with Session(report=events.append) as session:
        yield Repository(session, Reference(server.host, "a/b"))


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


def test_a_blob_can_be_read_again(repository: Repository) -> None:
    """Each opening asks the registry anew, so that a retried upload reads from the beginning."""
    repository.push(BLOB, Bytes(DATA))
    source = repository.fetch(BLOB)

    assert [read_all(source, 100) for _ in range(2)] == [DATA, DATA]


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
