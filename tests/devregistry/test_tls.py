"""TLS: what the server does beside serving requests; real clients are in test_auth_peers.py."""

from __future__ import annotations

import http.client
import io
import queue
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.server import THREADS, Server, running
from regkit.devregistry.tls import Certificate
from regkit.errors import UsageError
from regkit.events import Event, RequestServed

from .support import push_blob

DATA = bytes(range(256)) * 8192


@dataclass
class Secured:
    server: Server
    registry: DevRegistry
    trust: ssl.SSLContext
    events: queue.SimpleQueue[Event]

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.server.host, timeout=30, context=self.trust)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificate, trustme.CA]:
    root, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.cert_chain_pems[0].write_to_path(root / "cert.pem")
    issued.private_key_pem.write_to_path(root / "key.pem")
    return Certificate(root / "cert.pem", root / "key.pem"), authority


@pytest.fixture
def secured(certificate: tuple[Certificate, trustme.CA]) -> Iterator[Secured]:
    trust = ssl.create_default_context()
    certificate[1].configure_trust(trust)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    registry = DevRegistry()
    with running(registry, report=events.put, certificate=certificate[0]) as server:
        yield Secured(server, registry, trust, events)


def test_requests_over_tls(secured: Secured) -> None:
    """Many on one connection, with bodies both ways; the URL says https."""
    assert secured.server.url == f"https://{secured.server.host}"
    digest = push_blob(secured.registry, "a", DATA)
    connection = secured.connect()
    for _ in range(3):
        connection.request("GET", f"/v2/a/blobs/{digest}")
        assert connection.getresponse().read() == DATA
    connection.request("POST", f"/v2/b/blobs/uploads/?digest={digest}", DATA)
    assert connection.getresponse().read() == b""
    connection.close()

    blob = secured.registry.store.blob("b", digest)
    assert blob is not None
    with blob.open() as stream:
        assert stream.read() == DATA


def test_requests_in_one_record(secured: Secured) -> None:
    """A second request in the same piece of TLS is answered, though the network has nothing more to say."""
    first = b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Padding: %b\r\n\r\n"
    first %= b"x" * (io.DEFAULT_BUFFER_SIZE + 2 - len(first))
    assert len(first) == io.DEFAULT_BUFFER_SIZE  # as much as is read at once
    with (
        socket.create_connection(secured.server.address, timeout=10) as raw,
        secured.trust.wrap_socket(raw, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(first + b"GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: client.recv(1 << 16), b""))

    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 2


def test_who_speaks_plain_http_is_told(secured: Secured, capfd: pytest.CaptureFixture[str]) -> None:
    """A 400 that names the reason; nobody else is disturbed, and nothing is reported."""
    connection = http.client.HTTPConnection(secured.server.host, timeout=30)
    connection.request("GET", "/v2/")
    answer = connection.getresponse()

    assert (answer.status, answer.read()) == (400, b"this registry speaks only HTTPS")
    connection.close()
    good = secured.connect()
    good.request("GET", "/v2/")
    assert good.getresponse().status == 200
    good.close()
    assert isinstance(secured.events.get(), RequestServed)
    assert secured.events.empty()
    assert capfd.readouterr() == ("", "")


def test_a_client_that_says_nothing_stops_nobody(secured: Secured) -> None:
    """Connections without a handshake, more than there are threads, and broken ones, wait by themselves."""
    silent = [socket.create_connection(secured.server.address, timeout=30) for _ in range(THREADS + 8)]
    for each in silent[:4]:
        each.sendall(b"\x16\x03\x01")
    for each in silent[:2]:
        each.close()

    connection = secured.connect()
    connection.request("GET", "/v2/")
    assert connection.getresponse().status == 200

    connection.close()
    for each in silent:
        each.close()


def test_an_untrusting_client_is_no_news(secured: Secured, capfd: pytest.CaptureFixture[str]) -> None:
    """A client that doesn't trust the certificate goes away, and the log is silent about it."""
    with (
        socket.create_connection(secured.server.address, timeout=30) as raw,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(raw, server_hostname="127.0.0.1")
    connection = secured.connect()
    connection.request("GET", "/v2/")
    assert connection.getresponse().read() == b"{}"
    connection.close()

    assert isinstance(secured.events.get(), RequestServed)
    assert secured.events.empty()
    assert capfd.readouterr() == ("", "")


def test_old_protocols_are_refused(secured: Secured) -> None:
    """Nothing below TLS 1.2."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(secured.server.address, timeout=30) as raw, pytest.raises(OSError, match=r"SSL|TLS"):
        old.wrap_socket(raw)


def test_files_that_are_no_certificate(certificate: tuple[Certificate, trustme.CA], tmp_path: Path) -> None:
    """A file that isn't there, one that isn't PEM, and a key that isn't the certificate's are told before listening."""
    good, authority = certificate
    (tmp_path / "nonsense.pem").write_text("nothing")
    authority.issue_cert("other").private_key_pem.write_to_path(tmp_path / "other.pem")
    for chain, key in (
        (tmp_path / "none.pem", good.key),
        (tmp_path / "nonsense.pem", good.key),
        (good.chain, tmp_path / "other.pem"),
    ):
        with (
            pytest.raises(UsageError, match=f"can't use {chain} with {key} for TLS"),
            running(DevRegistry(), certificate=Certificate(chain, key)),
        ):
            pass
