"""What goes wrong by way of a proxy; that one is used is in test_session.py."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from itertools import count

import pytest
import trustme

from regkit.errors import Unavailable
from regkit.protocol.check import check
from regkit.transport.proxied import Proxied
from regkit.transport.sockets import Sockets
from regkit.transport.wire import CantSendError, Message, ProxyError, TimedOutError, UntrustedError, WireError
from tests.support.proxy import tunnel
from tests.transport.support import HANG, Patient, Play, http, serving

SECRET = "c4n4ry"
By = Callable[..., Proxied]


@pytest.fixture
def by() -> Iterator[By]:
    """Make connections by way of a proxy at an address; they are closed when the test is over."""
    made = []

    def make(proxy: str, context: ssl.SSLContext | None = None) -> Proxied:
        made.append(Proxied(context or ssl.create_default_context(), proxy, Sockets(), 30))
        return made[-1]

    yield make
    for proxied in made:
        proxied.close()


def get(scheme: str, *, seconds: float = 10) -> Message:
    """Ask a registry that isn't there."""
    return Message("GET", f"{scheme}://registry.invalid/v2/", {}, iter(()), seconds, seconds)


def failure(proxy: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Unavailable, list[float]]:
    """Ask a registry by way of a proxy; give what a caller gets, and for how long was waited between the tries."""
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    plain = ["registry.invalid"] if scheme == "http" else []
    with Patient(*plain) as session, pytest.raises(Unavailable) as caught:
        session.run("registry.invalid", check())
    assert SECRET not in f"{caught.value!r} {caught.value.hint} {session.events}"
    return caught.value, session.waits


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("login", "wish"), [("", "wants a login"), (f"me:{SECRET}@", "doesn't accept the login that its address holds")]
)
def test_a_proxy_that_wants_a_login(monkeypatch: pytest.MonkeyPatch, scheme: str, login: str, wish: str) -> None:
    """It is named, without its login, with where that is written; asking it again would be no use."""
    with serving([http(407, b"", "Proxy-Authenticate: Basic")] * 4) as proxy:
        error, waits = failure(f"http://{login}{proxy.host}", scheme, monkeypatch)

    sent = f"Basic {base64.b64encode(login.removesuffix('@').encode()).decode()}" if login else None
    assert error.message == f"registry.invalid can't be reached: the proxy {proxy.host} {wish}"
    assert error.hint is not None
    assert f"USER:PASSWORD@{proxy.host}," in error.hint
    assert (len(proxy.requests), waits) == (1, [])
    assert proxy.header(0, "proxy-authorization") == sent


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """Both are named, who is asked and by whose way, and it's tried again: it may be starting."""
    with serving([]) as proxy:
        pass
    error, waits = failure(f"http://me:{SECRET}@{proxy.host}", scheme, monkeypatch)

    way = f"no connection to the proxy {proxy.host}"
    assert error.message == f"registry.invalid can't be reached: {way}: Connection refused"
    assert error.hint is not None
    assert "HTTPS_PROXY" in error.hint
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("place", "name"), [("proxy.invalid:3128", "proxy.invalid:3128"), ("proxy.invalid", "proxy.invalid:80")]
)
def test_a_proxy_that_cannot_be_looked_up(monkeypatch: pytest.MonkeyPatch, place: str, name: str) -> None:
    """It is named with its port, also where that is the scheme's."""
    with pytest.raises(socket.gaierror) as unknown:
        socket.create_connection(("proxy.invalid", 3128))
    error, _ = failure(f"http://me:{SECRET}@{place}", "https", monkeypatch)

    way = f"no connection to the proxy {name}"
    assert error.message == f"registry.invalid can't be reached: {way}: {unknown.value.strerror}"


@pytest.mark.parametrize(("status", "phrase", "tries"), [(403, "Forbidden", 1), (502, "Bad Gateway", 4)])
def test_a_proxy_that_opens_no_tunnel(monkeypatch: pytest.MonkeyPatch, status: int, phrase: str, tries: int) -> None:
    """What it answered is said; what it forbids isn't asked for again."""
    with serving([http(status)] * 4) as proxy:
        error, _ = failure(f"http://{proxy.host}", "https", monkeypatch)

    assert error.message == f"registry.invalid can't be reached: the proxy {proxy.host} answered {status} {phrase}"
    assert len(proxy.requests) == tries


def test_a_proxy_that_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a tunnel it's the proxy that hung up."""
    with serving([b""] * 4) as proxy:
        error, _ = failure(f"http://{proxy.host}", "https", monkeypatch)

    way = f"the connection to the proxy {proxy.host} broke: "
    assert error.message.startswith(f"registry.invalid can't be reached: {way}")


def test_a_proxy_that_is_silent(by: By) -> None:
    """Without a tunnel it's the proxy that didn't answer."""
    with serving([HANG]) as proxy, pytest.raises(ProxyError, match=r"^the proxy [0-9.:]* didn't answer in time$"):
        by(f"http://{proxy.host}").exchange(get("https", seconds=0.1))


def test_a_proxy_whose_certificate_is_not_trusted(by: By) -> None:
    """It is the proxy that is named, and asking again would be no use."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    with (
        serving([], tls=server) as proxy,
        pytest.raises(ProxyError, match=r"^the proxy [0-9.:]* has a certificate that isn't trusted: ") as caught,
    ):
        by(f"https://{proxy.host}").exchange(get("https"))

    assert not caught.value.transient


def test_a_proxy_with_an_authority_that_is_trusted(by: By) -> None:
    """Whom one trusts as a registry's authority is trusted as the proxy's."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    with serving([http(200, b"there")], tls=server) as proxy:
        answer = by(f"https://{proxy.host}", client).exchange(get("http"))
        said = b"".join(answer)
        answer.close()

    assert (answer.status, said) == (200, b"there")


def test_a_proxy_that_went_away_meanwhile(by: By) -> None:
    """A connection that is made anew is the proxy's again."""
    with serving([http(200)]) as proxy:
        proxied = by(f"http://{proxy.host}")
        proxied.exchange(get("http")).close()

    with pytest.raises(ProxyError, match=r"^no connection to the proxy "):
        proxied.exchange(get("http"))


@pytest.mark.parametrize("answer", [b"", HANG])
def test_what_is_not_laid_to_the_proxy(by: By, answer: bytes | None) -> None:
    """A request that the proxy took may have failed at the server."""
    with serving([answer]) as proxy, pytest.raises(WireError) as caught:
        by(f"http://{proxy.host}").exchange(get("http", seconds=0.1))

    assert not isinstance(caught.value, ProxyError)


def test_what_a_server_says_in_a_tunnel(by: By) -> None:
    """A 407 in there is the server's own, and comes as the answer that it is."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority = trustme.CA()
    authority.issue_cert("registry.invalid").configure_cert(server)
    authority.configure_trust(client)
    with serving([http(407, b"mine")], tls=server) as upstream, tunnel(upstream.host) as (way, _):
        answer = by(way, client).exchange(get("https"))
        said = b"".join(answer)
        answer.close()

    assert (answer.status, said) == (407, b"mine")


def test_an_answer_that_trickles(by: By, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """What sends less than is worth waiting for is a timeout, though something comes all the time."""
    server = play(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    proxied = by(server.url)
    answer = proxied.exchange(get("http"))
    hours = count(step=3600)
    monkeypatch.setattr("regkit.transport.proxied.time.monotonic", lambda: float(next(hours)))

    with pytest.raises(TimedOutError):
        b"".join(answer)
    answer.close()


def test_a_certificate_in_a_tunnel(listener: socket.socket) -> None:
    """It is checked as one without a proxy is, and the reason is OpenSSL's own."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority = trustme.CA()
    authority.issue_cert("other.test").configure_cert(server)
    authority.configure_trust(client)
    asked: list[bytes] = []

    def tunnel() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(1 << 16))
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with pytest.raises(ssl.SSLError):
                server.wrap_socket(connection, server_side=True)

    thread = threading.Thread(target=tunnel)
    thread.start()
    proxied = Proxied(client, f"http://127.0.0.1:{listener.getsockname()[1]}", Sockets(), 30)
    message = Message("GET", "https://registry.test/v2/", {}, iter(()), 10, 10)

    with pytest.raises(UntrustedError, match=r"^Hostname mismatch, .* not valid for 'registry\.test'\.$"):
        proxied.exchange(message)
    thread.join(10)
    proxied.close()

    assert asked[0].startswith(b"CONNECT registry.test:443 ")


def test_no_header_is_smuggled_or_shown(listener: socket.socket) -> None:
    """What can't be sent is refused before the proxy is asked."""
    proxied = Proxied(ssl.create_default_context(), f"http://127.0.0.1:{listener.getsockname()[1]}", Sockets(), 30)
    message = Message("GET", "http://registry.test/", {"Authorization": "c4n4ry\r\nX: y"}, iter(()), 10, 10)

    with pytest.raises(CantSendError, match=r"^its header Authorization has characters that can't be sent$"):
        proxied.exchange(message)
    proxied.close()
