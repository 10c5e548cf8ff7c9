"""Credential helpers, played by small scripts: what they answer, and what they do instead."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from regkit.errors import UsageError
from regkit.protocol.auth import Login
from regkit.transport.credentials import Credentials
from tests.support.waiting import until

ANSWER = """#!/bin/sh
read key
echo "$1 $key" >> "$0.log"
echo '{"ServerURL": "'$key'", "Username": "me", "Secret": "canary"}'
"""


def helper(directory: Path, script: str, name: str = "fake") -> Path:
    """Put a helper where `PATH` finds it."""
    path = directory / "bin" / f"docker-credential-{name}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


def load(directory: Path, document: Mapping[str, object], *, limit: float = 30.0) -> Credentials:
    (directory / "config.json").write_text(json.dumps(document))
    path = f"{directory / 'bin'}{os.pathsep}{os.defpath}"
    return Credentials.load({"DOCKER_CONFIG": str(directory), "PATH": path}, helper_limit=limit)


def calls(program: Path) -> list[str]:
    log = program.with_name(f"{program.name}.log")
    return log.read_text().splitlines() if log.exists() else []


def test_a_helper_is_asked_for_its_host_alone_and_once(tmp_path: Path) -> None:
    """It runs when its host is asked for, not before, and one time however many ask."""
    program = helper(tmp_path, ANSWER)
    credentials = load(tmp_path, {"credHelpers": {"reg.test:5000": "fake"}})

    assert credentials.for_host("other.test") is None
    assert credentials.for_host("reg.test") is None
    assert (credentials.hosts, dict(credentials.logins), calls(program)) == (("reg.test:5000",), {}, [])

    with ThreadPoolExecutor(4) as pool:
        logins = list(pool.map(lambda _: credentials.for_host("reg.test:5000", "a/b"), range(8)))

    origin = f"docker-credential-fake ({tmp_path}/config.json)"
    assert logins == [Login("me", "canary", origin)] * 8
    assert calls(program) == ["get reg.test:5000"]


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_docker_hub_goes_by_its_old_key(tmp_path: Path, key: str) -> None:
    """However the configuration writes it, a helper is asked as Docker does."""
    program = helper(tmp_path, ANSWER)

    assert load(tmp_path, {"credHelpers": {key: "fake"}}).for_host("docker.io") is not None
    assert calls(program) == ["get https://index.docker.io/v1/"]


def test_the_store_is_for_every_host_without_a_helper_of_its_own(tmp_path: Path) -> None:
    """`credHelpers` comes before `credsStore`; an empty name means that this host has none."""
    own, store = helper(tmp_path, ANSWER, "own"), helper(tmp_path, ANSWER, "store")
    credentials = load(tmp_path, {"credsStore": "store", "credHelpers": {"a.test": "own", "b.test": ""}})

    logins = [credentials.for_host(host) for host in ("a.test", "b.test", "c.test")]

    assert [login.origin.partition(" ")[0] if login else "" for login in logins] == [
        "docker-credential-own",
        "",
        "docker-credential-store",
    ]
    assert (calls(own), calls(store)) == (["get a.test"], ["get c.test"])


def test_a_helper_comes_before_the_file_and_after_a_repositorys_own(tmp_path: Path) -> None:
    """What a helper keeps replaced what stands in the file for the host; a path's login is another one."""
    program = helper(tmp_path, ANSWER)
    word = {"username": "file", "password": "word"}
    document = {"credsStore": "fake", "auths": {"reg.test": word, "reg.test/a": {**word, "username": "path"}}}
    credentials = load(tmp_path, document)

    assert credentials.for_host("reg.test", "a/b") == Login("path", "word", f"{tmp_path}/config.json")
    assert calls(program) == []
    login = credentials.for_host("reg.test", "c")
    assert login is not None
    assert login.username == "me"


def test_an_identity_token(tmp_path: Path) -> None:
    """The user `<token>` marks the secret as one."""
    helper(tmp_path, ANSWER.replace('"me"', '"<token>"'))

    login = load(tmp_path, {"credsStore": "fake"}).for_host("a.test")

    assert login is not None
    assert (login.identity_token, login.password) == ("canary", "")


@pytest.mark.parametrize(
    "script",
    [
        "#!/bin/sh\necho 'credentials not found in native keychain'; exit 1\n",
        "#!/bin/sh\necho 'Credentials not found'; exit 2\n",
        '#!/bin/sh\necho \'{"ServerURL": "", "Username": "", "Secret": ""}\'\n',
    ],
)
def test_nothing_found_is_no_login(tmp_path: Path, script: str) -> None:
    """A helper that has none for the host leaves it to the file, and to the next source."""
    helper(tmp_path, script)
    word = {"username": "file", "password": "word"}
    credentials = load(tmp_path, {"credsStore": "fake", "auths": {"b.test": word}})

    assert credentials.for_host("a.test") is None
    assert credentials.for_host("b.test") == Login("file", "word", f"{tmp_path}/config.json")


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("#!/bin/sh\necho canary; echo canary >&2; exit 1\n", "ended with 1"),
        ("#!/bin/sh\necho canary; kill -9 $$\n", "ended with -9"),
        ("#!/bin/sh\necho canary\n", "gave an answer that can't be read"),
        ("#!/bin/sh\necho '[\"canary\"]'\n", "gave an answer that can't be read"),
        ('#!/bin/sh\necho \'{"Username": "canary"}\'\n', "gave an answer that can't be read"),
        ('#!/bin/sh\necho \'{"Username": 5, "Secret": "canary"}\'\n', "gave an answer that can't be read"),
        ("#!/bin/sh\nprintf '\\377'\n", "gave an answer that can't be read"),
        ("#!/bin/sh\n", "gave an answer that can't be read"),
        ("#!/nonexistent/canary\n", "can't be started: No such file or directory"),
        ("#!/bin/sh\nexec yes canary\n", "said more than 1048576 bytes"),
    ],
)
def test_a_helper_that_fails(tmp_path: Path, script: str, what: str) -> None:
    """One sentence that names helper, configuration and host, each time; never anonymous, and none of what it said."""
    helper(tmp_path, script)
    credentials = load(tmp_path, {"credHelpers": {"a.test": "fake"}})

    for _ in range(2):
        with pytest.raises(UsageError) as caught:
            credentials.for_host("a.test")
        expected = (
            f"the credential helper docker-credential-fake, which {tmp_path}/config.json names for a.test, {what}"
        )
        assert caught.value.message == expected
        assert caught.value.hint == "see what it says: echo a.test | docker-credential-fake get"
        assert caught.value.__cause__ is None


def test_a_helper_that_is_not_there(tmp_path: Path) -> None:
    """It is named, with the way on."""
    credentials = load(tmp_path, {"credsStore": "absent"})

    with pytest.raises(UsageError, match=r"docker-credential-absent, which .* names for a\.test, isn't on the PATH"):
        credentials.for_host("a.test")


@pytest.mark.parametrize("name", ["../evil", "a/b", "/bin/sh", ".hidden", "-x", "a b", "a\n", "x" * 101, "\u00e9"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    """A configuration can't have any other program run."""
    credentials = load(tmp_path, {"credHelpers": {"a.test": name}})

    with pytest.raises(UsageError, match="names a credential helper that can't be one"):
        credentials.for_host("a.test")


def test_names_that_are_none(tmp_path: Path) -> None:
    """What isn't text names nothing."""
    credentials = load(tmp_path, {"credsStore": 5, "credHelpers": {"a.test": None}})

    assert credentials.for_host("a.test") is None


@pytest.mark.parametrize("script", ['#!/bin/sh\nsleep 999 & echo $! > "$0.pid"\nwait\n', "CLOSING"])
def test_a_helper_that_hangs(tmp_path: Path, script: str) -> None:
    """After its time it is killed with all that it started; a closed output doesn't count as an end."""
    if script == "CLOSING":
        script = '#!/bin/sh\nsleep 999 >/dev/null & echo $! > "$0.pid"\nexec >&-\nwait\n'
    program = helper(tmp_path, script)
    credentials = load(tmp_path, {"credsStore": "fake"}, limit=1.0)
    began = time.monotonic()

    with pytest.raises(UsageError, match=r"names for a\.test, didn't answer within 1 s$"):
        credentials.for_host("a.test")

    assert time.monotonic() - began < 20
    child = int(program.with_name(f"{program.name}.pid").read_text())
    until(lambda: not is_running(child), "what the helper started has ended", 10)


def test_a_helper_that_reads_nothing(tmp_path: Path) -> None:
    """What isn't read is no failure by itself."""
    helper(tmp_path, ANSWER.replace("read key\n", "exec <&-\n"))

    assert load(tmp_path, {"credsStore": "fake"}).for_host("a.test") is not None


def is_running(pid: int) -> bool:
    """Tell whether a process is there, and not only its remains."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
