from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from regkit.config.spec import Config, RegistryConfig
from regkit.errors import ContentMismatch, Interrupted, NotFound, Unavailable
from regkit.events import Event, Note
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import Manifest
from regkit.oci.reference import Reference
from regkit.protocol.auth import Login
from regkit.protocol.blob import push_blob
from regkit.protocol.flow import Bytes
from regkit.protocol.manifest import head_manifest, put_manifest
from regkit.targets.location import Location
from regkit.targets.repository import Repository
from regkit.targets.target import Target
from regkit.transport.credentials import Credentials
from regkit.transport.session import Session
from tests.protocol.support import CONFIG
from tests.support.registries import RunningRegistry, distribution, embedded
from tests.transport.support import http, serving

BLOB = Descriptor.of("application/vnd.oci.image.config.v1+json", CONFIG)
MANIFEST = Manifest(
    "application/vnd.oci.image.manifest.v1+json",
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[]}'
    % (b'{"mediaType":"%s","digest":"%s","size":%d}' % (BLOB.media_type.encode(), BLOB.digest.encode(), BLOB.size)),
)


def fill(registry: RunningRegistry, repository: str) -> None:
    """Put an image there, under the tag 1."""
    with Session() as session:
        session.run(registry.host, push_blob(repository, BLOB, Bytes(CONFIG)))
        session.run(registry.host, put_manifest(repository, "1", MANIFEST))


@dataclass
class Mirrored:
    """A registry, a mirror of it, and a session that knows both."""

    origin: RunningRegistry
    mirror: RunningRegistry
    session: Session
    events: list[Event]

    def open(self, *, create: bool = False, mirrors: bool = True) -> Target:
        location = Location.parse(f"{self.origin.host}/team/a:1")
        return location.open(self.session, create=create, mirrors=mirrors)


@contextmanager
def mirrored(root: Path, prefix: str = "", *more: str) -> Iterator[Mirrored]:
    with ExitStack() as stack:
        origin = stack.enter_context(embedded(root / "origin"))
        mirror = stack.enter_context(distribution(root / "mirror"))
        events: list[Event] = []
        names = (*more, f"{mirror.host}{prefix}")
        registries = {origin.host: RegistryConfig(origin.host, mirrors=names)}
        session = stack.enter_context(Session(registries=registries, report=events.append))
        yield Mirrored(origin, mirror, session, events)


def read(target: Target) -> tuple[Descriptor | None, bytes, bytes]:
    """Read an image as a copy does: its tag, its manifest, its blob."""
    with target.fetch(BLOB).open() as stream:
        blob = stream.read()
    manifest = target.manifest("1").raw
    return target.resolve("1"), manifest, blob


@pytest.mark.parametrize("prefix", ["", "/proxy/hub"])
def test_what_is_pulled_comes_from_the_mirror(tmp_path: Path, prefix: str) -> None:
    """The registry itself isn't asked for anything that the mirror has."""
    with mirrored(tmp_path, prefix) as there:
        fill(there.mirror, f"{prefix}/team/a".lstrip("/"))

        assert read(there.open()) == (MANIFEST.descriptor, MANIFEST.raw, CONFIG)
        assert there.origin.requests() == []
        assert len([asked for asked in there.mirror.requests() if asked.status == 200]) >= 3
        told = f"{there.origin.host} is read from its mirror {there.mirror.host}{prefix}"
        assert [event.text for event in there.events if isinstance(event, Note)] == [told]


def test_what_the_mirror_lacks_comes_from_the_registry(tmp_path: Path) -> None:
    """A 404 of a mirror is no answer; where nobody has it, the registry's own is told."""
    with mirrored(tmp_path) as there:
        fill(there.origin, "team/a")

        assert read(there.open()) == (MANIFEST.descriptor, MANIFEST.raw, CONFIG)
        with pytest.raises(NotFound, match=f"{there.origin.host} answered 404"):
            there.open().manifest("2")
        assert there.events == []


def test_a_mirror_that_nobody_named_has_no_word_on_tags(tmp_path: Path) -> None:
    """It would choose the content: what a tag is, HOST says; what is asked by digest is checked, and may be its."""
    with mirrored(tmp_path) as there:
        fill(there.mirror, "team/a")
        began = there.mirror.mark()
        found = Config(Path("regkit.toml"), registries=there.session.registries)
        with Session(registries=found.registries, found=found) as session:
            target = Location.parse(f"{there.origin.host}/team/a:1").open(session)
            assert target.resolve("1") is None
            with pytest.raises(NotFound, match=f"{there.origin.host} answered 404"):
                target.manifest("1")
            assert there.mirror.since(began) == []
            assert target.manifest(MANIFEST.digest).raw == MANIFEST.raw
            fill(there.origin, "team/a")
            mark = there.origin.mark()
            assert read(Location.parse(f"{there.origin.host}/team/a:1").open(session))[1:] == (MANIFEST.raw, CONFIG)
            assert {asked.path for asked in there.origin.since(mark)} == {"/v2/team/a/manifests/1"}


def test_a_mirror_that_is_down_is_asked_once(tmp_path: Path) -> None:
    """It is told, and the next mirror answers."""
    with mirrored(tmp_path, "", "127.0.0.1:1") as there:
        fill(there.mirror, "team/a")

        assert read(there.open()) == (MANIFEST.descriptor, MANIFEST.raw, CONFIG)
        said = [event.text for event in there.events if isinstance(event, Note) and event.warning]
        assert len(said) == 1
        assert said[0].startswith("the mirror 127.0.0.1:1 isn't asked again: 127.0.0.1:1 can't be reached")
        assert there.origin.requests() == []


def test_a_mirror_that_lies_is_found_out(tmp_path: Path) -> None:
    """What it sends is checked by its digest."""
    with embedded(tmp_path) as origin, serving([http(200, b"{}" * 20)] * 2) as liar:
        fill(origin, "team/a")
        registries = {origin.host: RegistryConfig(origin.host, mirrors=(liar.host,))}
        with Session(registries=registries, plain_http=[liar.host]) as session:
            target = Location.parse(f"{origin.host}/team/a").open(session)
            with pytest.raises(ContentMismatch):
                target.manifest(MANIFEST.digest)


def test_writes_and_what_they_are_decided_by_never_see_the_mirror(tmp_path: Path) -> None:
    """A destination is asked itself, whether it has something, too: the mirror may have what it lacks."""
    with mirrored(tmp_path) as there:
        fill(there.mirror, "team/a")
        mark = there.mirror.mark()
        for target in (
            there.open(create=True),
            there.open(mirrors=False),
            Repository(there.session, Reference.parse(f"{there.origin.host}/team/a")),
        ):
            assert not target.exists(BLOB)
            assert target.resolve("1") is None
            assert target.tags() == ()
        target.push(BLOB, Bytes(CONFIG))
        target.push(MANIFEST.descriptor, Bytes(MANIFEST.raw), "1")
        there.open().push(MANIFEST.descriptor, Bytes(MANIFEST.raw), "2")

        assert there.mirror.since(mark) == []
        assert there.origin.tags("team/a") == ["1", "2"]


def test_credentials_are_exact_for_each(tmp_path: Path) -> None:
    """A mirror that asks for a login gets its own, never the registry's, though it asks for it."""
    challenge = 'WWW-Authenticate: Basic realm="x"'
    denied = http(401, b"", challenge)
    with embedded(tmp_path) as origin, serving([denied] * 8) as mirror:
        fill(origin, "team/a")
        credentials = Credentials({origin.host: Login("me", "secret-of-origin")})
        registries = {origin.host: RegistryConfig(origin.host, mirrors=(mirror.host,))}
        with Session(credentials, plain_http=[mirror.host], registries=registries) as session:
            target = Location.parse(f"{origin.host}/team/a").open(session)
            assert target.manifest("1").raw == MANIFEST.raw
            assert [mirror.header(n, "authorization") for n in range(len(mirror.requests))] == [None]


def test_an_aborted_session_asks_nobody_instead(tmp_path: Path) -> None:
    with mirrored(tmp_path) as there:
        fill(there.origin, "team/a")
        mark = there.origin.mark()
        there.session.abort()
        with pytest.raises(Interrupted):
            there.open().manifest("1")
        assert there.origin.since(mark) == []


# Authorities of single registries


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_an_authority_is_trusted_for_its_registry_alone(authority: trustme.CA, tmp_path: Path) -> None:
    """The same certificate at another host is nobody's."""
    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(pem)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with serving([http(404)] * 2, tls=tls) as trusted, serving([http(404)] * 2, tls=tls) as other:
        registries = {trusted.host: RegistryConfig(trusted.host, ca_file=pem)}
        with Session(registries=registries) as session:
            assert session.run(trusted.host, head_manifest("a", "1")) is None
            with pytest.raises(Unavailable, match="isn't trusted"):
                session.run(other.host, head_manifest("a", "1"))
