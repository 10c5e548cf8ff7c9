from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from regkit.errors import UsageError
from regkit.protocol.auth import Login
from regkit.transport.credentials import Credentials


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def write(directory: Path, document: Any) -> Path:
    path = directory / "config.json"
    directory.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def load(directory: Path, auths: dict[str, Any], **env: str) -> Credentials:
    write(directory, {"auths": auths})
    return Credentials.load({"DOCKER_CONFIG": str(directory), **env})


def test_docker_config_is_read(tmp_path: Path) -> None:
    """What `docker login` wrote for a host is found, with where it came from."""
    credentials = load(tmp_path, {"ghcr.io": {"auth": encoded("user:pa:ss\u00e9")}})

    assert credentials.for_host("ghcr.io") == Login("user", "pa:ss\u00e9", str(tmp_path / "config.json"))


def test_home_is_where_docker_config_is_by_default(tmp_path: Path) -> None:
    """Without DOCKER_CONFIG it's HOME/.docker; with it, HOME's isn't read."""
    write(tmp_path / ".docker", {"auths": {"a.test": {"auth": encoded("home:x")}}})
    write(tmp_path / "other", {"auths": {"a.test": {"auth": encoded("other:x")}}})
    home = {"HOME": str(tmp_path)}

    for env, user in ((home, "home"), ({**home, "DOCKER_CONFIG": str(tmp_path / "other")}, "other")):
        login = Credentials.load(env).for_host("a.test")
        assert login is not None
        assert login.username == user
    assert Credentials.load(home).searched == str(tmp_path / ".docker" / "config.json")


@pytest.mark.parametrize(
    ("key", "host", "found"),
    [
        ("reg.test", "reg.test", True),
        ("reg.test:5000", "reg.test:5000", True),
        ("reg.test", "reg.test:5000", False),
        ("reg.test:5000", "reg.test", False),
        ("reg.test", "reg.test.evil", False),
        ("reg.test", "evil.reg.test", False),
        ("reg.test", "eg.test", False),
        ("https://reg.test", "reg.test", True),
        ("https://reg.test/v2/", "reg.test", True),
        ("http://reg.test:5000/v1/", "reg.test:5000", True),
        ("https://index.docker.io/v1/", "docker.io", True),
        ("docker.io", "docker.io", True),
        ("index.docker.io", "docker.io", True),
        ("registry-1.docker.io", "docker.io", True),
        ("hub.docker.com", "docker.io", False),
        ("https://index.docker.io.evil/v1/", "docker.io", False),
    ],
)
def test_a_login_is_for_exactly_one_host(tmp_path: Path, key: str, host: str, found: bool) -> None:
    """Host and port must be the very same: no prefix, no suffix, no other port. Docker Hub has its old name too."""
    credentials = load(tmp_path, {key: {"auth": encoded("user:password")}})

    assert (credentials.for_host(host) is not None) == found


def test_username_and_password_in_the_clear(tmp_path: Path) -> None:
    """Some tools write the two fields instead of `auth`; old Docker pads a password with zeros."""
    credentials = load(
        tmp_path, {"a": {"username": "user", "password": "word"}, "b": {"auth": encoded("user:word\0\0")}}
    )

    for host in ("a", "b"):
        assert credentials.for_host(host) == Login("user", "word", str(tmp_path / "config.json"))


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"auth": ""},
        {"auth": encoded("user:")},
        {"auth": encoded(":word")},
        {"username": "u"},
        "text",
        None,
        {"auth": 5},
    ],
)
def test_an_entry_without_a_login(tmp_path: Path, entry: object) -> None:
    """An entry that holds none, as Docker leaves them for a credential store, is none."""
    assert load(tmp_path, {"a": entry}).for_host("a") is None


def test_environment_is_for_docker_hub_alone(tmp_path: Path) -> None:
    """DOCKER_USERNAME and DOCKER_PASSWORD win at docker.io, and never go anywhere else."""
    hub = {"https://index.docker.io/v1/": {"auth": encoded("file:word")}}
    credentials = load(tmp_path, hub, DOCKER_USERNAME="user", DOCKER_PASSWORD="canary")

    assert credentials.for_host("docker.io") == Login("user", "canary", "DOCKER_USERNAME and DOCKER_PASSWORD")
    assert list(credentials.logins) == ["docker.io"]
    for host in ("ghcr.io", "docker.io:443", "localhost:5000", "registry-1.docker.io", ""):
        assert credentials.for_host(host) is None


@pytest.mark.parametrize(
    "env", [{"DOCKER_USERNAME": "u"}, {"DOCKER_PASSWORD": "p"}, {"DOCKER_USERNAME": "", "DOCKER_PASSWORD": "p"}]
)
def test_half_a_login_is_none(tmp_path: Path, env: dict[str, str]) -> None:
    """CI systems leave secrets empty in pull requests: then there is no login."""
    assert Credentials.load({"HOME": str(tmp_path), **env}).logins == {}


@pytest.mark.parametrize("document", ["{", "", "\ufffd{}", "[" * 100_000])
def test_a_broken_file_is_named(tmp_path: Path, document: str) -> None:
    """A file that isn't JSON is an error that names it: silence would mean anonymous access."""
    path = write(tmp_path, document)

    with pytest.raises(UsageError, match=f"{path} isn't valid JSON"):
        Credentials.load({"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "something else than a configuration"),
        ({"auths": []}, "'auths' that aren't an object"),
        ({"credHelpers": "ecr-login"}, "'credHelpers' that aren't an object"),
    ],
)
def test_what_holds_no_logins_where_they_stand_is_named(tmp_path: Path, document: object, said: str) -> None:
    """So it is with crane, skopeo and oras: who wrote this meant a login, and isn't made anonymous."""
    path = write(tmp_path, document)

    with pytest.raises(UsageError, match=f"^{path} (holds|has) {said}$"):
        Credentials.load({"DOCKER_CONFIG": str(tmp_path)})
    with pytest.raises(UsageError, match=f"^DOCKER_AUTH_CONFIG (holds|has) {said}$"):
        Credentials.load({"DOCKER_AUTH_CONFIG": path.read_text(), "HOME": str(tmp_path / "home")})


@pytest.mark.parametrize("auth", ["!!!", "dXNlcg", "\u00e9", base64.b64encode(b"\xff\xfe:x").decode()])
def test_broken_base64_is_named(tmp_path: Path, auth: str) -> None:
    """An `auth` that can't be read is an error that names the file, and not its content."""
    path = write(tmp_path, {"auths": {"a": {"auth": auth}}})

    with pytest.raises(UsageError) as caught:
        Credentials.load({"DOCKER_CONFIG": str(tmp_path)})
    assert str(path) in str(caught.value)
    assert auth not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A directory in its place, or links in a circle, is an error that names it."""
    (tmp_path / "directory" / "config.json").mkdir(parents=True)
    (tmp_path / "circle").mkdir()
    (tmp_path / "circle" / "config.json").symlink_to("config.json")

    for name in ("directory", "circle"):
        with pytest.raises(UsageError, match=f"{name}/config.json can't be read") as caught:
            Credentials.load({"DOCKER_CONFIG": str(tmp_path / name)})
        assert caught.value.hint is not None


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """What is no configuration by its size isn't read."""
    write(tmp_path, " " * (4 * 1024 * 1024 + 1))

    with pytest.raises(UsageError, match="larger than"):
        Credentials.load({"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("missing", ["nothing", "file/below"])
def test_no_file_is_no_login(tmp_path: Path, missing: str) -> None:
    """Who never logged in is anonymous."""
    (tmp_path / "file").write_text("")

    credentials = Credentials.load({"DOCKER_CONFIG": str(tmp_path / missing)})

    assert credentials.logins == {}


@pytest.mark.parametrize("document", [{}, {"auths": None}, {"credHelpers": None}, {"credsStore": "desktop"}])
def test_a_file_without_logins(tmp_path: Path, document: object) -> None:
    """A configuration that holds other things holds no login."""
    write(tmp_path, document)

    assert Credentials.load({"DOCKER_CONFIG": str(tmp_path)}).logins == {}


def test_passwords_are_in_no_repr(tmp_path: Path) -> None:
    """Credentials in a log or a traceback don't tell a password."""
    credentials = load(tmp_path, {"a": {"auth": encoded("user:canary")}})

    assert "canary" not in f"{credentials!r} {credentials} {dict(credentials.logins)}"
    assert encoded("user:canary") not in repr(credentials)


def test_logins_cannot_be_changed(tmp_path: Path) -> None:
    """What was read stays as it was read."""
    credentials = load(tmp_path, {})

    with pytest.raises(TypeError):
        credentials.logins["a"] = Login("a", "b")  # type: ignore[index]
