from __future__ import annotations

import re
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from regkit.errors import Interrupted, ProtocolError, Unavailable, UsageError
from regkit.oci.descriptor import Descriptor
from regkit.protocol.blob import push_blob
from regkit.protocol.check import check
from regkit.protocol.flow import Bytes
from regkit.protocol.manifest import head_manifest
from regkit.transport.session import Session
from tests.transport.support import WRONG_SCHEME, Patient, http, serving

OK = http(200, b"{}")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


class Trusting(Patient):
    """A patient session that trusts an authority."""

    def __init__(self, ca_file: Path | None) -> None:
        self.waits = []
        self.events = []
        Session.__init__(self, ca_file=ca_file, report=self.events.append)


@pytest.mark.parametrize("to_plain", [b"", WRONG_SCHEME], ids=["hangs up", "says so"])
def test_tls_on_this_machine_is_found_without_a_flag(tls: ssl.SSLContext, ca_file: Path, to_plain: bytes) -> None:
    """A registry on loopback that speaks TLS is asked so, once it's known; its authority comes from a file."""
    with serving([OK, OK], tls=tls, to_plain=to_plain) as server, Trusting(ca_file) as session:
        session.run(server.host, check())
        session.run(server.host, check())

    assert server.lines == ["GET /v2/ HTTP/1.1"] * 2
    assert session.waits == []


@pytest.mark.parametrize("to_plain", [b"", WRONG_SCHEME], ids=["hangs up", "says so"])
def test_loopback_over_tls_is_found_by_head(tls: ssl.SSLContext, ca_file: Path, to_plain: bytes) -> None:
    """A first request without an answer's text, as a copy to a new repository makes one, finds TLS as well."""
    with serving([http(404)], tls=tls, to_plain=to_plain) as server, Trusting(ca_file) as session:
        assert session.run(server.host, head_manifest("a", "1")) is None


def test_an_authority_that_nobody_trusts(tls: ssl.SSLContext) -> None:
    """Without its file, the certificate is refused at once: no retry, and the hint names the flag."""
    with serving([OK] * 4, tls=tls) as server, Trusting(None) as session, pytest.raises(Unavailable) as caught:
        session.run(server.host, check())

    assert f"{server.host} has a certificate that isn't trusted" in str(caught.value)
    assert caught.value.hint is not None
    assert "--ca-file" in caught.value.hint
    assert (server.requests, session.waits) == ([], [])


def test_a_certificate_of_another_host(authority: trustme.CA, ca_file: Path) -> None:
    """A certificate that is trusted, but not this host's, is refused as well."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("registry.test").configure_cert(context)
    with serving([OK], tls=context) as server, Trusting(ca_file) as session, pytest.raises(Unavailable) as caught:
        session.run(server.host, check())

    assert re.search(r"isn't trusted: .*not valid for '127\.0\.0\.1'\.$", str(caught.value))
    assert caught.value.hint is None
    assert not caught.value.transient


def test_a_certificate_that_has_expired(authority: trustme.CA, ca_file: Path) -> None:
    """It is refused at once, and no flag is recommended that wouldn't help."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC)).configure_cert(context)
    with serving([OK], tls=context) as server, Trusting(ca_file) as session, pytest.raises(Unavailable) as caught:
        session.run(server.host, check())

    assert str(caught.value).endswith("isn't trusted: certificate has expired")
    assert (caught.value.hint, caught.value.transient) == (None, False)


def test_a_name_with_the_roots_dot(tls: ssl.SSLContext, ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is written with its last dot has the certificate, and is asked for it, without one."""
    monkeypatch.setattr(socket, "getaddrinfo", _local)
    asked: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    with serving([OK], tls=tls) as server, Trusting(ca_file) as session:
        session.run(server.host.replace("127.0.0.1", "localhost."), check())

    assert asked == ["localhost"]


def _local(_host: object, port: int, *_: object) -> list[tuple[object, ...]]:
    """Find every host here."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]


def test_a_ca_file_that_is_none(tls: ssl.SSLContext, tmp_path: Path) -> None:
    """A file without certificates is the user's mistake, and the sentence names it."""
    path = tmp_path / "empty.pem"
    path.write_text("nothing")
    with serving([OK], tls=tls) as server, Trusting(path) as session, pytest.raises(UsageError, match=str(path)):
        session.run(server.host, check())


def test_an_upload_never_leaves_tls(tls: ssl.SSLContext, ca_file: Path) -> None:
    """A registry asked in https can't send our content to an address without it."""
    answers = [http(202, b"", "Location: http://127.0.0.1:1/upload")]
    blob = Descriptor.of("x", b"content")
    with (
        serving(answers, tls=tls) as server,
        Trusting(ca_file) as session,
        pytest.raises(ProtocolError, match="leads to an address without https"),
    ):
        session.run(server.host, push_blob("a", blob, Bytes(b"content")))


def test_a_plain_registry_that_breaks_is_not_taken_for_tls() -> None:
    """A registry in plain http whose first answer breaks is still asked in plain http."""
    with serving([b"", OK]) as server, Trusting(None) as session:
        session.run(server.host, check())

    assert len(server.requests) == 2
    assert len(session.waits) == 1


def test_the_flag_means_plain_http_only(tls: ssl.SSLContext, ca_file: Path) -> None:
    """A host that is named with --plain-http isn't tried in https."""
    with serving([OK], tls=tls, to_plain=WRONG_SCHEME) as server:
        session = Trusting(ca_file)
        session.plain_http = (server.host,)
        with session, pytest.raises(ProtocolError, match="400"):
            session.run(server.host, check())

    assert server.requests == []


def test_abort_in_the_handshake(ca_file: Path) -> None:
    """What is told to stop before TLS is agreed on stops."""
    with socket.create_server(("127.0.0.1", 0)) as silent, Session(ca_file=ca_file) as session:
        session.abort()
        with pytest.raises(Interrupted):
            session.run(f"127.0.0.1:{silent.getsockname()[1]}", check())
