"""A configuration that nobody named: where logins go because of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from regkit.config.spec import Config, ReadmeConfig, RegistryConfig
from regkit.errors import UsageError
from regkit.events import Event, Note
from regkit.ops.login import whoami
from regkit.protocol.auth import Login
from regkit.protocol.check import check
from regkit.transport.credentials import Credentials
from regkit.transport.session import Session
from regkit.transport.unnamed import check_builder, check_shared, exposure, leads_away, leads_out
from tests.transport.support import http, serving

FILE = Path("regkit.toml")
CA = Path("ca.pem")
PUBLIC = "registry.example.com"


def found(*registries: RegistryConfig) -> Config:
    return Config(FILE, registries={each.host: each for each in registries})


HINT = "if that is right, name the file: --config regkit.toml, or REGKIT_CONFIG"


@pytest.mark.parametrize(
    ("said", "told"),
    [
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


@pytest.mark.parametrize("host", [PUBLIC, f"{PUBLIC}:5000", "8.8.8.8"])
def test_no_login_goes_in_the_clear(host: str) -> None:
    """Each time that one is asked for, for as long as nobody named the file, or the host."""
    said = found(RegistryConfig(host, plain_http=True))
    logins = Credentials({host: Login("me", "secret")})
    with Session(logins, registries=said.registries, found=said) as session:
        for _ in range(2):
            with pytest.raises(UsageError, match="in the clear") as raised:
                session.login(host, "a")
            assert raised.value.hint == f"{HINT}; or say it yourself: --plain-http {host}"
    for allowed in (
        Session(logins, registries=said.registries),
        Session(logins, registries=said.registries, plain_http=[host], found=said),
        Session(registries=said.registries, found=said),
    ):
        with allowed as session:
            assert session.login(host, "a") == session.credentials.for_host(host)


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
        ("ssh://-oProxyCommand=id", True),
        ("ssh://-oProxyCommand=id@host", True),
        ("docker-container://--privileged", True),
        ("tcp://buildkitd:1234", False),
        ("tcp://10.1.2.3:1234", False),
        ("tcp://127.0.0.1:1234", False),
        ("unix:///run/buildkit/buildkitd.sock", False),
        ("docker-container://a.b", False),
    ],
)
def test_where_a_builder_may_be(address: str, away: bool) -> None:
    """In the same network, where a pipeline has it beside itself; what would be an option of a program is no place."""
    if not away:
        check_builder(Config(FILE), address)
        return
    with pytest.raises(UsageError, match=f"regkit.toml would send the source, and logins, to the builder at {address}"):
        check_builder(Config(FILE), address)


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        (RegistryConfig(PUBLIC, mirrors=("mirror.test",)), False),
        (RegistryConfig(PUBLIC, plain_http=True), False),
        (RegistryConfig(PUBLIC, ca_file=CA), False),
        (RegistryConfig(PUBLIC, concurrency=1, vendor="harbor"), True),
    ],
)
def test_a_builder_that_stays_serves_other_projects(said: RegistryConfig, allowed: bool) -> None:
    """What one says of registries isn't for the others, unless its file is named."""
    if allowed:
        check_shared(found(said))
        return
    with pytest.raises(UsageError, match=f"the builder that stays read {PUBLIC} as it says") as raised:
        check_shared(found(said))
    assert raised.value.hint == f"{HINT}; or use none: --config /dev/null"


def test_a_login_that_is_less_safe_is_told_once() -> None:
    """And only where there is one, and somebody else than the user said so."""
    said = found(RegistryConfig(PUBLIC, ca_file=CA), RegistryConfig("quay.io", ca_file=CA))
    logins = Credentials({PUBLIC: Login("me", "secret")})

    def told(plain_http: tuple[str, ...] = (), config: Config | None = said) -> list[Event]:
        events: list[Event] = []
        with Session(logins, plain_http=plain_http, found=config, report=events.append) as session:
            assert session.login(PUBLIC, "a") == session.login(PUBLIC) == logins.for_host(PUBLIC)
            assert session.login("quay.io") is None
        return events

    assert told() == [exposure(said, PUBLIC)]
    assert told(plain_http=(PUBLIC,)) == []
    assert told(config=None) == []


def test_what_leads_out_of_a_project(tmp_path: Path) -> None:
    """Links count as what they lead to; git's own directory, where a checkout's token is, isn't the project's."""
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    (project / "out").symlink_to(tmp_path)
    (project / "circle").symlink_to("circle")
    said = Config(project / "regkit.toml")

    inside = [project, project / "a" / "b", project / "out" / "project" / "a", project / ".github"]
    outside = [tmp_path, project / "..", project / "out" / "x", project / "circle", project / ".git" / "config"]
    assert [path for path in (*inside, *outside) if leads_out(said, path)] == outside
    assert leads_out(said, Path("/proc/self/environ"))


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
