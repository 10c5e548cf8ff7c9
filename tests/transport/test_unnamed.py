"""A configuration that nobody named: where logins go because of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from regkit.config.spec import BuilderConfig, Config, ReadmeConfig, RegistryConfig
from regkit.events import Event, Note
from regkit.ops.login import whoami
from regkit.protocol.auth import Login
from regkit.protocol.check import check
from regkit.transport.credentials import Credentials
from regkit.transport.session import Session
from regkit.transport.unnamed import built_away, exposure, leads_away
from tests.transport.support import http, serving

FILE = Path("regkit.toml")
CA = Path("ca.pem")
PUBLIC = "registry.example.com"


def found(*registries: RegistryConfig) -> Config:
    return Config(FILE, registries={each.host: each for each in registries})


def clear(host: str) -> Note:
    return Note(f"the login for {host} goes in the clear, as regkit.toml says with plain-http", warning=True)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (RegistryConfig(PUBLIC, plain_http=True), clear(PUBLIC)),
        (RegistryConfig(f"{PUBLIC}:5000", plain_http=True), clear(f"{PUBLIC}:5000")),
        (RegistryConfig("8.8.8.8", plain_http=True), clear("8.8.8.8")),
        (RegistryConfig("registry:5000", plain_http=True), None),
        (RegistryConfig("registry.local", plain_http=True), None),
        (RegistryConfig("10.1.2.3:5000", plain_http=True), None),
        (RegistryConfig("127.0.0.1:5000", plain_http=True), None),
        (
            RegistryConfig(PUBLIC, ca_file=CA),
            Note(f"the login for {PUBLIC} goes to whom ca.pem vouches for, as regkit.toml says"),
        ),
        (RegistryConfig(PUBLIC, concurrency=1), None),
        (RegistryConfig("other.example.com", plain_http=True), None),
    ],
    ids=str,
)
def test_what_makes_a_login_less_safe(said: RegistryConfig, told: Note | None) -> None:
    """Plain http is expected of private names and addresses, and of no others."""
    host = said.host if said.host != "other.example.com" else PUBLIC
    assert exposure(found(said), host) == told


@pytest.mark.parametrize(
    ("host", "address", "away"),
    [
        ("ghcr.io", "https://collector.example", True),
        ("ghcr.io", "HTTPS://Collector.EXAMPLE:8443/api", True),
        ("ghcr.io", "https://notghcr.io", True),
        ("ghcr.io", "https://io", True),
        ("a.b.example", "https://c.b.example", True),
        ("example.com", "https://registry.example.com", True),
        ("docker.io", "http://127.0.0.1:80", True),
        ("ghcr.io", "https://ghcr.io:8443/api", False),
        ("registry.gitlab.example.com:5050", "https://gitlab.example.com/gitlab", False),
        ("registry.gitlab.example.com", "https://Example.com.", False),
    ],
)
def test_where_an_api_may_be(host: str, address: str, away: bool) -> None:
    """At the registry's own host, or above it; `[readme]` says no more than `[registry."HOST"]`."""
    assert leads_away(found(RegistryConfig(host, api=address)), host, address) is away
    assert leads_away(Config(FILE, readme=ReadmeConfig(api=address)), host, address.lower()) is away
    assert not leads_away(found(RegistryConfig(host)), host, address)


@pytest.mark.parametrize(
    ("address", "away"),
    [
        ("tcp://builder.example.com:1234", True),
        ("ssh://me@builder.example.com", True),
        ("tcp://8.8.8.8:1234", True),
        ("tcp://buildkitd:1234", False),
        ("tcp://10.1.2.3:1234", False),
        ("tcp://127.0.0.1:1234", False),
        ("unix:///run/buildkit/buildkitd.sock", False),
        ("docker-container://a.b", False),
    ],
)
def test_where_a_builder_may_be(address: str, away: bool) -> None:
    """In the same network, where a pipeline has it beside itself."""
    said = Config(FILE, builders=(BuilderConfig("*", address),))
    text = f"the builder at {address}, which regkit.toml names, gets the source, and logins that it asks for"
    assert built_away(said, address) == (Note(text, warning=True) if away else None)
    assert built_away(Config(FILE), address) is None


def test_a_login_that_is_less_safe_is_told_once() -> None:
    """And only where there is one, and somebody else than the user said so."""
    said = found(RegistryConfig(PUBLIC, plain_http=True), RegistryConfig("quay.io", plain_http=True))
    logins = Credentials({PUBLIC: Login("me", "secret")})

    def told(plain_http: tuple[str, ...] = (), config: Config | None = said) -> list[Event]:
        events: list[Event] = []
        with Session(
            logins, registries=said.registries, plain_http=plain_http, found=config, report=events.append
        ) as session:
            assert session.login(PUBLIC, "a") == session.login(PUBLIC) == logins.for_host(PUBLIC)
            assert session.login("quay.io") is None
        return events

    assert told() == [clear(PUBLIC)]
    assert told(plain_http=(PUBLIC,)) == []
    assert told(config=None) == []


def test_nothing_is_told_before_a_registry_asks_for_a_login() -> None:
    """Then it is, by `whoami` too, which has a session of its own."""
    demand = http(401, b"", "WWW-Authenticate: Basic")
    with serving([http(200), demand, http(200), demand, demand, http(200)]) as server:
        said = found(RegistryConfig(server.host, ca_file=CA))
        told: list[Event] = []
        with Session(Credentials({server.host: Login("me", "secret")}), found=said, report=told.append) as session:
            session.run(server.host, check())
            assert told == []
            session.run(server.host, check())
            assert told == [exposure(said, server.host)]
            whoami(session, server.host)
            assert told == [exposure(said, server.host)] * 2
