"""Which of the sources wins, for which host and repository; and what each of them may hold."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from regkit.errors import UsageError
from regkit.protocol.auth import Login
from regkit.transport.credentials import Credentials


def entry(user: str, password: str = "word") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def document(*keys: str, user: str = "", **more: object) -> str:
    return json.dumps({"auths": {key: entry(user or key) for key in keys}, **more})


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def user_at(credentials: Credentials, host: str, repository: str = "") -> str | None:
    login = credentials.for_host(host, repository)
    return login.username if login else None


def test_the_order_of_the_sources(tmp_path: Path) -> None:
    """The environment's own, its JSON, its file, podman's two, Docker's: the first that knows the host wins."""
    named = put(tmp_path / "named.json", document("reg.test", user="named"))
    runtime = put(tmp_path / "run/containers/auth.json", document("reg.test", user="runtime"))
    own = put(tmp_path / ".config/containers/auth.json", document("reg.test", user="own"))
    docker = put(tmp_path / ".docker/config.json", document("reg.test", "docker.io", user="docker"))
    env = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run"), "REGISTRY_AUTH_FILE": str(named)}
    env |= {"DOCKER_AUTH_CONFIG": document("reg.test", user="json")}

    seen = []
    for origin, missing in (
        ("DOCKER_AUTH_CONFIG", lambda: env.pop("DOCKER_AUTH_CONFIG")),
        (str(named), lambda: env.pop("REGISTRY_AUTH_FILE")),
        (str(runtime), lambda: env.pop("XDG_RUNTIME_DIR")),
        (str(own), own.unlink),
        (str(docker), docker.unlink),
    ):
        login = Credentials.load(env).for_host("reg.test")
        assert login is not None
        assert login.origin == origin
        seen.append(login.username)
        missing()

    assert seen == ["json", "named", "runtime", "own", "docker"]
    assert Credentials.load(env).for_host("reg.test") is None


def test_every_host_has_its_own_order(tmp_path: Path) -> None:
    """A source that doesn't know a host leaves it to the next."""
    put(tmp_path / "config.json", document("a.test", "b.test", user="docker"))
    env = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_AUTH_CONFIG": document("a.test", user="json")}

    credentials = Credentials.load(env)

    assert [user_at(credentials, host) for host in ("a.test", "b.test", "c.test")] == ["json", "docker", None]
    assert {host: login.username for host, login in credentials.logins.items()} == {
        "a.test": "json",
        "b.test": "docker",
    }
    assert credentials.hosts == ("a.test", "b.test")


def test_a_named_file_replaces_podmans_own(tmp_path: Path) -> None:
    """With REGISTRY_AUTH_FILE podman's files aren't read, even where it isn't there; the error says where it looked."""
    put(tmp_path / "containers/auth.json", document("reg.test"))
    env = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "REGISTRY_AUTH_FILE": str(tmp_path / "missing")}

    credentials = Credentials.load(env)

    assert credentials.for_host("reg.test") is None
    assert credentials.searched == f"{tmp_path}/missing, {tmp_path}/.docker/config.json"


def test_where_logins_were_looked_for(tmp_path: Path) -> None:
    """All sources that are there are named, and Docker's file always."""
    runtime = put(tmp_path / "run/containers/auth.json", "{}")
    env = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run"), "DOCKER_AUTH_CONFIG": "{}"}

    assert Credentials.load(env).searched == f"DOCKER_AUTH_CONFIG, {runtime}, {tmp_path}/.docker/config.json"


def test_the_most_specific_key_wins(tmp_path: Path) -> None:
    """A key with a path is for the repositories below it, by whole names, and never for the host."""
    keys = ["ghcr.io", "ghcr.io/owner", "ghcr.io/owner/team/app", "reg.test:5000/a", "docker.io/me"]
    credentials = Credentials.load({"DOCKER_AUTH_CONFIG": document(*keys), "HOME": str(tmp_path)})

    assert user_at(credentials, "ghcr.io") == "ghcr.io"
    for repository, expected in (
        ("owner/team/app", "ghcr.io/owner/team/app"),
        ("owner/team", "ghcr.io/owner"),
        ("owner", "ghcr.io/owner"),
        ("owner/team/app/below", "ghcr.io/owner/team/app"),
        ("owner2/team", "ghcr.io"),
        ("other", "ghcr.io"),
    ):
        assert user_at(credentials, "ghcr.io", repository) == expected
    assert user_at(credentials, "reg.test:5000", "a/b") == "reg.test"
    assert user_at(credentials, "docker.io", "me/app") == "docker.io/me"
    for host, repository in (("reg.test:5000", ""), ("reg.test:5000", "ab"), ("reg.test", "a"), ("docker.io", "you/x")):
        assert user_at(credentials, host, repository) is None
    assert list(credentials.logins) == ["ghcr.io"]


def test_an_earlier_source_beats_a_more_specific_key(tmp_path: Path) -> None:
    """The order of the sources comes first."""
    put(tmp_path / "config.json", document("ghcr.io/owner"))
    env = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_AUTH_CONFIG": document("ghcr.io", user="json")}

    assert user_at(Credentials.load(env), "ghcr.io", "owner/app") == "json"


@pytest.mark.parametrize("keys", [["https://reg.test/v2/", "reg.test"], ["reg.test", "https://reg.test/v2/"]])
def test_the_exact_key_beats_an_old_spelling(tmp_path: Path, keys: list[str]) -> None:
    """Where a host stands there twice, the order in the file doesn't decide."""
    assert (
        user_at(Credentials.load({"DOCKER_AUTH_CONFIG": document(*keys), "HOME": str(tmp_path)}), "reg.test")
        == "reg.test"
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"identitytoken": "i", **entry("u")}, Login("u", "", "DOCKER_AUTH_CONFIG", "i")),
        ({"identitytoken": "i"}, Login("<token>", "", "DOCKER_AUTH_CONFIG", "i")),
        ({"registrytoken": "r"}, Login("<token>", "", "DOCKER_AUTH_CONFIG", "", "r")),
        ({"identitytoken": "", **entry("u")}, Login("u", "word", "DOCKER_AUTH_CONFIG")),
        ({"identitytoken": 5, "registrytoken": None}, None),
    ],
)
def test_tokens_in_a_configuration(tmp_path: Path, written: dict[str, object], expected: Login | None) -> None:
    """A token stands in the password's place."""
    env = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {"a.test": written}}), "HOME": str(tmp_path)}

    assert Credentials.load(env).for_host("a.test") == expected


def test_broken_json_in_the_environment(tmp_path: Path) -> None:
    """The variable is named, and not its content."""
    with pytest.raises(UsageError, match=r"^DOCKER_AUTH_CONFIG isn't valid JSON$") as caught:
        Credentials.load({"DOCKER_AUTH_CONFIG": '{"canary', "HOME": str(tmp_path)})
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_a_file_that_others_may_read(tmp_path: Path) -> None:
    """It's told where it holds a login; one without any is nobody's worry."""
    path = put(tmp_path / "config.json", document("a.test"))
    env = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_AUTH_CONFIG": document("a.test"), "HOME": str(tmp_path)}

    for mode, expected in ((0o600, ()), (0o640, (str(path),)), (0o604, (str(path),)), (0o622, ())):
        path.chmod(mode)
        assert Credentials.load(env).exposed == expected
    put(path, document(credsStore="x")).chmod(0o644)
    assert Credentials.load(env).exposed == ()


def test_no_secret_in_a_repr(tmp_path: Path) -> None:
    """Whatever gets into a log or a traceback tells no secret."""
    auths = {"a": entry("u", "canary"), "b": {"identitytoken": "canary"}, "c/d": {"registrytoken": "canary"}}
    env = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": auths}), "HOME": str(tmp_path)}
    credentials = Credentials.load(env)

    assert "canary" not in f"{credentials} {credentials!r} {credentials._configs!r} {dict(credentials.logins)}"
    assert repr(credentials) == f"Credentials(['a', 'b'], 'DOCKER_AUTH_CONFIG, {tmp_path}/.docker/config.json')"
