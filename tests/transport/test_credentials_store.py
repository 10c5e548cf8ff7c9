"""Keeping logins in Docker's configuration: nobody else reads it, nothing else in it is lost."""

from __future__ import annotations

import base64
import json
import os
import resource
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from regkit.errors import RegkitError, UsageError
from regkit.protocol.auth import Login
from regkit.transport.credentials import Credentials
from regkit.transport.credentials_store import erase_login, lend, store_login

LOGIN = Login("me", "pa:ss\u00e9")
AUTH = {"auth": base64.b64encode("me:pa:ss\u00e9".encode()).decode()}
HUB = "https://index.docker.io/v1/"
KEEPING = """#!/bin/sh
read -r given
case $1 in
store) echo "$given" > "$0.kept" ;;
get) cat "$0.kept" 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;
erase) rm "$0.kept" ;;
esac
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"DOCKER_CONFIG": str(tmp_path / "docker"), "PATH": f"{tmp_path}{os.pathsep}{os.defpath}"}


def write(env: dict[str, str], document: Any) -> Path:
    path = Path(env["DOCKER_CONFIG"]) / "config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def read(env: dict[str, str]) -> Any:
    return json.loads((Path(env["DOCKER_CONFIG"]) / "config.json").read_text())


def helper(directory: Path, script: str) -> Path:
    path = directory / "docker-credential-fake"
    path.write_text(script)
    path.chmod(0o755)
    return path


def test_a_new_configuration(env: dict[str, str]) -> None:
    """It's made where there is none, for us alone whatever the umask; what is stored is found again."""
    before = os.umask(0)
    try:
        where = store_login(env, "reg.test:5000", LOGIN)
    finally:
        os.umask(before)

    path = Path(env["DOCKER_CONFIG"], "config.json")
    assert (where, read(env)) == (str(path), {"auths": {"reg.test:5000": AUTH}})
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)] == [0o700, 0o600]
    assert list(path.parent.iterdir()) == [path]
    login = Credentials.load(env).for_host("reg.test:5000")
    assert login == Login("me", "pa:ss\u00e9", where)


def test_what_is_not_ours_is_kept(env: dict[str, str]) -> None:
    """Unknown keys, other hosts and entries of any shape stay, in their order; a mode that's too open is mended."""
    others = {"b.test": {"auth": "", "x": [1]}, "reg.test/path": {"auth": "eDp5"}, "reg.test:1": {"auth": "eDp5"}}
    path = write(env, {"z": {"\u00e9": None}, "auths": {**others, "reg.test": {"auth": "eDp5"}}, "proxies": {}})
    path.chmod(0o644)

    store_login(env, "reg.test", LOGIN)

    assert read(env) == {"z": {"\u00e9": None}, "auths": {**others, "reg.test": AUTH}, "proxies": {}}
    assert list(read(env)) == ["z", "auths", "proxies"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_docker_hubs_key(env: dict[str, str]) -> None:
    """Docker Hub's login stands where Docker looks for it, and what stood under its other names is replaced."""
    write(env, {"auths": {"docker.io": {"auth": "eDp5"}, "index.docker.io": {}}})

    store_login(env, "docker.io", LOGIN)
    assert read(env)["auths"] == {HUB: AUTH}

    assert erase_login(env, "docker.io")
    assert read(env) == {"auths": {}}


def test_a_link_stays_a_link(env: dict[str, str], tmp_path: Path) -> None:
    """Whoever keeps the file among their dotfiles finds it changed there."""
    target = tmp_path / "dotfiles.json"
    target.write_text("{}")
    path = write(env, "{}")
    path.unlink()
    path.symlink_to(target)

    store_login(env, "a.test", LOGIN)

    assert path.is_symlink()
    assert json.loads(target.read_text()) == {"auths": {"a.test": AUTH}}


def test_many_at_once_lose_nothing(env: dict[str, str]) -> None:
    """Writers wait for each other."""
    hosts = [f"h{number}.test" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda host: store_login(env, host, LOGIN), hosts))

    assert sorted(read(env)["auths"]) == sorted(hosts)


@pytest.mark.parametrize(("document", "said"), [("{", "isn't valid JSON"), ("[]", "something else than a config")])
def test_a_broken_file_is_left_alone(env: dict[str, str], document: str, said: str) -> None:
    """It is named and kept: what it held can still be saved."""
    path = write(env, document)

    with pytest.raises(UsageError, match=said):
        store_login(env, "a.test", LOGIN)
    assert path.read_text() == document


def test_a_place_that_cannot_be_written(env: dict[str, str], tmp_path: Path) -> None:
    """A file in the directory's place is named."""
    (tmp_path / "docker").write_text("")

    with pytest.raises(UsageError, match=r"docker/config\.json can't be written: File exists"):
        store_login(env, "a.test", LOGIN)


def test_a_failed_write_leaves_the_old_file(env: dict[str, str]) -> None:
    """A disk that is full, here a limit: that's said, the old file stands, and no half file lies beside it."""
    path = write(env, "{}")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(RegkitError, match=r"config\.json can't be written: File too large"):
            store_login(env, "a.test", LOGIN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert path.read_text() == "{}"
    assert list(path.parent.iterdir()) == [path]


def test_erasing(env: dict[str, str]) -> None:
    """Only this host's login goes; where there was none, that's said, and no file is made."""
    assert not erase_login(env, "a.test")
    assert not Path(env["DOCKER_CONFIG"]).exists()
    write(env, {"auths": {"a.test": AUTH, "a.test/path": AUTH, "b.test": AUTH, "empty.test": {}}})

    assert [erase_login(env, host) for host in ("a.test", "a.test", "empty.test", "c.test")] == [
        True,
        False,
        False,
        False,
    ]
    assert read(env)["auths"] == {"a.test/path": AUTH, "b.test": AUTH}


@pytest.mark.parametrize("document", [{"credsStore": "fake"}, {"credHelpers": {"a.test": "fake"}}])
@pytest.mark.parametrize("login", [LOGIN, Login("<token>", "", "", "identity")])
def test_a_helper_keeps_it(env: dict[str, str], tmp_path: Path, document: dict[str, Any], login: Login) -> None:
    """The secret goes to the configured helper alone; the file says for which host it has one."""
    program = helper(tmp_path, KEEPING)
    path = write(env, {**document, "auths": {"a.test": {"auth": "eDp5"}}})

    where = store_login(env, "a.test", login)

    assert where == f"docker-credential-fake ({path})"
    assert read(env) == {**document, "auths": {"a.test": {}}}
    secret = login.identity_token or login.password
    assert json.loads(program.with_name(f"{program.name}.kept").read_text()) == {
        "ServerURL": "a.test",
        "Username": login.username,
        "Secret": secret,
    }
    assert Credentials.load(env).hosts == ("a.test",)
    found = Credentials.load(env).for_host("a.test")
    assert found is not None
    assert (found.identity_token or found.password, found.origin) == (secret, where)

    assert [erase_login(env, "a.test"), erase_login(env, "a.test")] == [True, False]
    assert read(env)["auths"] == {}
    assert Credentials.load(env).for_host("a.test") is None


@pytest.mark.parametrize("verb", ["store", "erase"])
def test_a_helper_that_does_not_take_it(env: dict[str, str], tmp_path: Path, verb: str) -> None:
    """The file stays as it was, and nothing of the secret is said."""
    program = helper(tmp_path, KEEPING.replace(f"{verb})", f"{verb}) echo $given; exit 3 ;;\nunused)"))
    program.with_name(f"{program.name}.kept").write_text('{"Username": "me", "Secret": "x"}')
    path = write(env, {"credsStore": "fake", "auths": {"a.test": {}}})
    before = path.read_bytes()

    def act() -> object:
        return store_login(env, "a.test", Login("me", "canary")) if verb == "store" else erase_login(env, "a.test")

    with pytest.raises(UsageError, match=r"docker-credential-fake, .* it ended with 3$") as caught:
        act()
    assert "canary" not in f"{caught.value} {caught.value.hint}"
    assert path.read_bytes() == before


def test_a_login_too_long_for_a_helper(env: dict[str, str], tmp_path: Path) -> None:
    """More than a pipe takes is refused before the helper is started."""
    program = helper(tmp_path, KEEPING)
    write(env, {"credsStore": "fake"})

    with pytest.raises(UsageError, match="can't be given so long a login"):
        store_login(env, "a.test", Login("me", "x" * 40_000))
    assert not program.with_name(f"{program.name}.kept").exists()


def test_what_is_lent(tmp_path: Path) -> None:
    """A directory for us alone, with every kind of login as Docker's configuration holds it."""
    logins = {
        "docker.io": LOGIN,
        "a.test": Login("<token>", "", "", "identity"),
        "b.test": Login("<token>", "", "", "", "ready"),
    }
    before = os.umask(0)
    try:
        directory = lend(tmp_path / "lent", logins)
    finally:
        os.umask(before)

    assert json.loads((directory / "config.json").read_text()) == {
        "auths": {HUB: AUTH, "a.test": {"identitytoken": "identity"}, "b.test": {"registrytoken": "ready"}}
    }
    assert [stat.S_IMODE(path.stat().st_mode) for path in (directory, directory / "config.json")] == [0o700, 0o600]
    found = Credentials.load({"DOCKER_CONFIG": str(directory)})
    for host, login in logins.items():
        again = found.for_host(host)
        assert again is not None
        assert (again.username, again.password) == (login.username, login.password)
        assert (again.identity_token, again.registry_token) == (login.identity_token, login.registry_token)
