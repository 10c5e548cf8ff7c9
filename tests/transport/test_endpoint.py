"""An API beside a registry: its authorization stays at its origin, and it is asked when it may be."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from regkit.config.spec import RegistryConfig
from regkit.errors import ProtocolError, Unavailable, UsageError
from regkit.protocol.auth import Login
from regkit.protocol.flow import Flow, Request, Response
from regkit.transport.credentials import Credentials
from regkit.transport.endpoint import Endpoint, check_base
from regkit.transport.session import Session
from tests.transport.support import Patient, http, serving

NOW = 1_790_000_000.0
SECRET = {"Authorization": "Bearer canary"}


class Secret:
    """Adds a secret to each request."""

    def authorized(self, request: Request) -> Flow[Response]:
        return (yield replace(request, headers={**request.headers, **SECRET}))


def ask(*requests: Request) -> Flow[list[int]]:
    """Send requests; give their statuses."""
    statuses: list[int] = []
    for request in requests:
        response = yield request
        statuses += [response.status]
    return statuses


def get(path: str = "/v2/x") -> Request:
    return Request("GET", path)


def test_paths_are_below_the_base() -> None:
    """A prefix of the base comes before them; the registry's own login isn't sent."""
    with serving([http(200)]) as server:
        credentials = Credentials({server.host: Login("registry", "other")})
        with Patient(credentials=credentials) as session:
            Endpoint(session, f"http://{server.host}/git/", Secret()).run(ask(get()))

        assert server.lines == ["GET /git/v2/x HTTP/1.1"]
        assert server.header(0, "authorization") == "Bearer canary"


def test_a_redirect_at_home_is_followed() -> None:
    with serving([http(301, b"", "Location: /v3/x"), http(200)]) as server, Patient() as session:
        assert Endpoint(session, f"http://{server.host}", Secret()).run(ask(get())) == [200]
        assert server.lines[1] == "GET /v3/x HTTP/1.1"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_elsewhere_gets_nothing(status: int) -> None:
    """No request goes there, with or without the secret."""
    with serving([]) as other, Patient() as session:
        answer = http(status, b"", f"Location: http://{other.host}/x")
        with serving([answer]) as server, pytest.raises(ProtocolError, match="leads to another origin"):
            Endpoint(session, f"http://{server.host}", Secret()).run(ask(get()))
        assert other.requests == []


@pytest.mark.parametrize("tail", [".evil.test/x", "@evil.test/x", "0/x"])
def test_an_address_that_only_begins_like_the_origin(tail: str) -> None:
    with serving([]) as server, Patient() as session:
        with pytest.raises(ProtocolError, match="another origin"):
            Endpoint(session, f"http://{server.host}", Secret()).run(ask(get(f"http://{server.host}{tail}")))
        assert server.requests == []


def test_a_write_that_is_redirected() -> None:
    """A 302 would lose its body, so it's an error."""
    with serving([http(302, b"", "Location: /y")]) as server, Patient() as session, pytest.raises(ProtocolError):
        Endpoint(session, f"http://{server.host}", Secret()).run(ask(Request("PATCH", "/x")))


def test_what_fails_for_a_moment_is_sent_again() -> None:
    with serving([http(503), http(502), http(200)]) as server, Patient() as session:
        assert Endpoint(session, f"http://{server.host}", Secret()).run(ask(get())) == [200]
        assert len(session.waits) == 2


def test_an_api_that_is_not_there() -> None:
    with serving([]) as server:
        gone = server.host
    with Patient() as session, pytest.raises(Unavailable, match="can't be reached"):
        Endpoint(session, f"http://{gone}", Secret()).run(ask(get()))


def test_all_threads_wait_for_a_limit() -> None:
    """What one thread is told, the others obey: their next request waits as long."""
    with serving([http(200, b"", f"Retry-After: {NOW + 9:.0f}"), http(200)]) as server, Patient(now=NOW) as session:
        endpoint = Endpoint(session, f"http://{server.host}", Secret())
        endpoint.run(ask(get()))
        thread = threading.Thread(target=endpoint.run, args=(ask(get()),))
        thread.start()
        thread.join()

    assert session.waits == [pytest.approx(9)]


def test_a_limit_beyond_patience_is_not_slept_through() -> None:
    """An hour is no wait for a command: the next request is sent, and its answer counts."""
    with serving([http(200, b"", f"Retry-After: {NOW + 3600:.0f}"), http(200)]) as server, Patient(now=NOW) as session:
        assert Endpoint(session, f"http://{server.host}", Secret()).run(ask(get(), get())) == [200, 200]
    assert session.waits == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hub.docker.com", "not an API's address"),
        ("ftp://hub.test", "not an API's address"),
        ("https://", "not an API's address"),
        ("https://hub.test:0", "not an API's address"),
        ("https://hub.test:x", "not an API's address"),
        ("https://[hub", "not an API's address"),
        ("https://me:canary@hub.test", "no user and no password"),
        ("https://hub.test?x=1", "ends with its path"),
        ("https://hub.test#x", "ends with its path"),
        ("http://hub.test", "isn't sent in the clear"),
    ],
)
def test_addresses_that_get_no_login(text: str, said: str) -> None:
    """One sentence, and no secret in it."""
    with Patient() as session, pytest.raises(UsageError, match=said) as caught:
        check_base(text, session)
    assert "canary" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("text", "plain", "base"),
    [
        ("https://hub.test/", (), "https://hub.test"),
        ("https://hub.test:8443/a/b/", (), "https://hub.test:8443/a/b"),
        ("http://127.0.0.1:5000", (), "http://127.0.0.1:5000"),
        ("http://[::1]:5000", (), "http://[::1]:5000"),
        ("http://hub.test:5000", ("hub.test:5000",), "http://hub.test:5000"),
    ],
)
def test_addresses_that_do(text: str, plain: Sequence[str], base: str) -> None:
    with Patient(*plain) as session:
        assert check_base(text, session) == base


class Waiting(Session):
    """Remembers for how long it would have waited."""

    def __init__(self, registries: dict[str, RegistryConfig]) -> None:
        self.waits: list[float] = []
        super().__init__(registries=registries)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def test_a_hosts_limits_hold_for_its_api() -> None:
    """One request in two seconds, whoever asks: the second and the third wait for their turn."""
    with serving([http(200)] * 3) as server:
        registries = {server.host: RegistryConfig(server.host, requests_per_second=0.5)}
        with Waiting(registries) as session:
            Endpoint(session, f"http://{server.host}", Secret()).run(ask(get(), get(), get()))

    assert len(session.waits) == 2
    assert 0 < session.waits[0] < session.waits[1]
