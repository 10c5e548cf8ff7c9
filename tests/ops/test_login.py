"""Logging in and out, and who one is, against registries that play their part from a script."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from regkit.errors import AccessDenied, UsageError
from regkit.ops.login import (
    Identity,
    Kept,
    Known,
    known_logins,
    login,
    logout,
    parse_login_place,
    parse_registry,
    whoami,
)
from regkit.protocol.auth import Login
from regkit.transport.credentials import Credentials
from tests.transport.support import Patient, http, serving

BASIC = http(401, b"", 'WWW-Authenticate: Basic realm="x"')
OK = http(200, b"{}")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}


def config(env: dict[str, str]) -> Path:
    return Path(env["DOCKER_CONFIG"]) / "config.json"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ghcr.io", ("ghcr.io", "")),
        ("localhost", ("localhost", "")),
        ("reg.test:5000", ("reg.test:5000", "")),
        ("https://reg.test:5000/", ("reg.test:5000", "")),
        ("http://reg.test/v2/", ("reg.test", "")),
        ("docker.io", ("docker.io", "")),
        ("index.docker.io", ("docker.io", "")),
        ("https://index.docker.io/v1/", ("docker.io", "")),
        ("ghcr.io/owner/name", ("ghcr.io", "owner/name")),
        ("docker.io/busybox", ("docker.io", "library/busybox")),
        ("me/app", ("docker.io", "me/app")),
    ],
)
def test_what_names_a_registry(text: str, expected: tuple[str, str]) -> None:
    """A host, its URL, Docker's old key, or a repository in it."""
    assert parse_login_place(text) == expected


@pytest.mark.parametrize("text", ["", "ghcr", "a b.test", "reg.test:x", "reg.test:99999", "https://", "ghcr.io/a:1"])
def test_what_names_none(text: str) -> None:
    """A single word is Docker Hub's namespace and no host; a tag belongs to an image."""
    with pytest.raises(UsageError):
        parse_login_place(text)


@pytest.mark.parametrize("text", ["ghcr.io/owner/name", "me/app", "https://ghcr.io/owner/name", "ghcr"])
def test_a_login_is_for_a_whole_registry(text: str) -> None:
    """What names more is refused, with the name to write."""
    with pytest.raises(UsageError):
        parse_registry(text)
    assert parse_registry("https://index.docker.io/v1/") == "docker.io"


def test_login_is_proven_and_kept(env: dict[str, str]) -> None:
    """The registry is asked first without it and then with it; then it stands in the file."""
    with serving([BASIC, BASIC, OK]) as registry, Patient() as session:
        kept = login(session, registry.host, "me", "canary", env=env)

    assert kept == Kept(registry.host, "me", str(config(env)), proven=True)
    sent = f"Basic {encoded('me:canary')}"
    assert [registry.header(number, "authorization") for number in range(3)] == [None, None, sent]
    assert Credentials.load(env).for_host(registry.host) == Login("me", "canary", str(config(env)))


def test_a_login_that_is_refused_is_not_kept(env: dict[str, str]) -> None:
    """Nothing is written, and the password isn't in the error."""
    with (
        serving([BASIC] * 3) as registry,
        Patient() as session,
        pytest.raises(
            AccessDenied, match=r"doesn't let the user 'me' in: can't speak to the registry: .* 401"
        ) as caught,
    ):
        login(session, registry.host, "me", "canary", env=env)

    assert not config(env).exists()
    assert "nothing was written" in str(caught.value.hint)
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_a_login_that_nobody_asked_for(env: dict[str, str]) -> None:
    """A registry that lets everybody in proves nothing, and the result says so."""
    with serving([OK, OK]) as registry, Patient() as session:
        assert not login(session, registry.host, "me", "canary", env=env).proven
    assert [registry.header(number, "authorization") for number in range(2)] == [None, None]


def test_a_login_behind_another(env: dict[str, str]) -> None:
    """Where another source comes first, it's named: else one would wonder why the new login isn't used."""
    with serving([BASIC, BASIC, OK]) as registry, Patient() as session:
        env["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {registry.host: {"auth": encoded("other:word")}}})
        assert login(session, registry.host, "me", "canary", env=env).behind == "DOCKER_AUTH_CONFIG"
        assert logout(registry.host, env=env) == (True, "DOCKER_AUTH_CONFIG")


@pytest.mark.parametrize(
    ("user", "password"), [("", "x"), ("a:b", "x"), ("a\nb", "x"), ("a", ""), ("a", "x\n"), ("a", "x\ny"), ("a", "\0")]
)
def test_what_cannot_be_a_login(env: dict[str, str], user: str, password: str) -> None:
    """What Basic can't carry is refused before anybody is asked."""
    with Patient() as session, pytest.raises(UsageError):
        login(session, "127.0.0.1:1", user, password, env=env)


def test_logout(env: dict[str, str]) -> None:
    """It tells whether there was something to forget."""
    config(env).write_text(json.dumps({"auths": {"a.test": {"auth": encoded("a:b")}}}))

    assert logout("a.test", env=env) == (True, "")
    assert logout("a.test", env=env) == (False, "")


def who(answers: Sequence[bytes], given: Login | None) -> Identity:
    with serving(answers) as registry:
        credentials = Credentials({registry.host: given} if given else {}, "the file")
        with Patient(credentials=credentials) as session:
            found = whoami(session, registry.host)
    assert found.host == registry.host
    assert len(registry.requests) == len(answers)
    return found


def test_who_one_is_with_basic() -> None:
    """The user, the source, and what the registry asked for; whether it's let in."""
    given = Login("me", "canary", "the test")

    found = who([BASIC, BASIC, OK], given)
    assert (found.username, found.origin, found.demands, found.refusal) == ("me", "the test", ("basic",), "")
    found = who([BASIC, BASIC, BASIC], given)
    assert "401 Unauthorized" in found.refusal
    assert "canary" not in repr(found)


def test_who_one_is_without_a_login() -> None:
    """Anonymous, with where a login was looked for."""
    found = who([OK, OK], None)
    assert (found.username, found.origin, found.demands, found.refusal) == (None, "the file", (), "")
    assert who([BASIC, BASIC], None).refusal


@pytest.mark.parametrize(
    ("given", "answer", "authorization", "allowed"),
    [
        (Login("me", "canary", "x"), http(200, b'{"token": "t"}'), f"Basic {encoded('me:canary')}", True),
        (Login("me", "canary", "x"), http(401), f"Basic {encoded('me:canary')}", False),
        (Login("<token>", "", "x", "canary"), http(200, b'{"access_token": "t"}'), None, True),
        (None, http(200, b'{"token": "t"}'), None, True),
        (None, http(401), None, False),
    ],
)
def test_who_one_is_with_bearer(given: Login | None, answer: bytes, authorization: str | None, allowed: bool) -> None:
    """The token service decides, with the password, the identity token, or nothing."""
    with serving([answer]) as service:
        challenge = http(401, b"", f'WWW-Authenticate: Bearer realm="http://{service.host}/token",service="s"')
        found = who([challenge, challenge, OK][: 3 if allowed else 2], given)

    assert (found.demands, not found.refusal) == (("bearer",), allowed)
    assert service.header(0, "authorization") == authorization
    identity = bool(given and given.identity_token)
    assert service.lines[0].startswith("POST /token HTTP" if identity else "GET /token?service=s HTTP")
    assert (b"refresh_token=canary" in service.requests[0]) == identity


def test_who_one_is_at_a_repository(env: dict[str, str]) -> None:
    """A repository's own login is what it gets."""
    with serving([BASIC, BASIC, OK]) as registry:
        entries = {registry.host: encoded("all:x"), f"{registry.host}/team": encoded("team:x")}
        env["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {key: {"auth": auth} for key, auth in entries.items()}})
        with Patient(credentials=Credentials.load(env)) as session:
            found = whoami(session, registry.host, "team/app")

    assert found.username == "team"
    assert registry.header(2, "authorization") == f"Basic {encoded('team:x')}"


def test_all_known_logins(env: dict[str, str]) -> None:
    """Every host that the configuration speaks of, with its user where it has one."""
    entries = {"b.test": {"auth": encoded("b:x")}, "a.test": {}, "docker.io": {"auth": encoded("file:x")}}
    env |= {"DOCKER_USERNAME": "hub", "DOCKER_PASSWORD": "x", "DOCKER_AUTH_CONFIG": json.dumps({"auths": entries})}

    assert known_logins(Credentials.load(env)) == (
        Known("a.test", None, ""),
        Known("b.test", "b", "DOCKER_AUTH_CONFIG"),
        Known("docker.io", "hub", "DOCKER_USERNAME and DOCKER_PASSWORD"),
    )
