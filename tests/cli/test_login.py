"""`regkit login`, `logout` and `whoami` as users run them."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import clean_environment, output_of, regkit
from tests.support.waiting import until
from tests.transport.support import RawServer, http, serving

BASIC = http(401, b"", 'WWW-Authenticate: Basic realm="x"')
OK = http(200, b"{}")
LOGIN = [BASIC, BASIC, OK]
AUTH = base64.b64encode(b"me:canary").decode()


def config(home: Path) -> Path:
    return home / ".docker" / "config.json"


def log_in(
    home: Path, *arguments: str, given: bytes = b"canary\n", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `regkit login` with something on stdin."""
    argv = [sys.executable, "-m", "regkit", "login", *arguments]
    done = subprocess.run(
        argv, input=given, capture_output=True, timeout=60, check=False, env=clean_environment(home, env), cwd=home
    )
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())


def fails(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Check for this exit code and no secret; give what was said."""
    assert done.returncode == code, done.stderr
    assert "canary" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("given", [b"canary", b"canary\n", b"canary\r\n"])
def test_login_with_the_password_on_stdin(tmp_path: Path, given: bytes) -> None:
    """The end of its line isn't part of it; what was done is said, without it."""
    with serving(LOGIN) as registry:
        done = log_in(tmp_path, registry.host, "-u", "me", "--password-stdin", given=given)

    assert output_of(done) == ""
    assert done.stderr == f"logged in to {registry.host} as me, kept in {config(tmp_path)}\n"
    assert json.loads(config(tmp_path).read_text()) == {"auths": {registry.host: {"auth": AUTH}}}


def test_login_by_variables(tmp_path: Path) -> None:
    """Every option has its variable, but the password has none."""
    with serving(LOGIN) as registry:
        env = {"REGKIT_USERNAME": "me", "REGKIT_PASSWORD_STDIN": "1"}
        output_of(log_in(tmp_path, registry.host, env=env))

    assert json.loads(config(tmp_path).read_text()) == {"auths": {registry.host: {"auth": AUTH}}}


def test_login_asks_on_a_terminal(tmp_path: Path) -> None:
    """User and password are asked for, and the password isn't shown."""
    with serving(LOGIN) as registry:
        shown, code = on_a_terminal(tmp_path, registry, b"Username: ", b"me\n", b"Password: ", b"canary\n")

    assert code == 0, shown
    assert b"canary" not in shown
    assert f"logged in to {registry.host} as me".encode() in shown
    assert json.loads(config(tmp_path).read_text()) == {"auths": {registry.host: {"auth": AUTH}}}


def on_a_terminal(home: Path, registry: RawServer, *talk: bytes) -> tuple[bytes, int]:
    """Run `regkit login` on a terminal of its own: wait for a text, then type the next, and so on."""
    ours, theirs = pty.openpty()
    argv = ["/usr/bin/env", "setsid", "--ctty", sys.executable, "-m", "regkit", "login", registry.host]
    with os.fdopen(theirs, "r+b", buffering=0) as terminal:
        process = subprocess.Popen(
            argv,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=clean_environment(home, {"PATH": os.environ["PATH"]}),
            cwd=home,
        )
    shown = b""
    with process, os.fdopen(ours, "r+b", buffering=0) as stream:
        for asked, typed in zip(talk[::2], talk[1::2], strict=True):
            while asked not in shown:
                shown += stream.read(1024)
            until(lambda: sleeps(process.pid), "it waits for an answer")  # Ctrl-C before that is Python's to notice
            stream.write(typed)
        try:
            while chunk := stream.read(1024):
                shown += chunk
        except OSError:
            pass  # how Linux says that nobody has the terminal open any more
        return shown, process.wait(60)


def sleeps(process: int) -> bool:
    """Tell whether a process waits for something."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize(
    ("key", "code", "said"),
    [(b"\x03", 130, b"regkit: interrupted"), (b"\x04", 2, b"the input ended where an answer was to come")],
)
def test_a_question_that_gets_no_answer(tmp_path: Path, key: bytes, code: int, said: bytes) -> None:
    """Ctrl-C is what it is everywhere, in a login too; the input's end is a sentence. Nothing is kept."""
    with serving([]) as registry:
        for talk in ([b"Username: ", key], [b"Username: ", b"me\n", b"Password: ", key]):
            shown, ended = on_a_terminal(tmp_path, registry, *talk)

            assert (ended, said in shown) == (code, True), shown
            assert b"Abort" not in shown
    assert not config(tmp_path).exists()


@pytest.mark.parametrize(
    "arguments", [("-p", "canary"), ("--password", "canary"), ("-pcanary",), ("--password=canary",)]
)
def test_a_password_on_the_command_line_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """It's no option: everybody on the machine could read it; the way to give it is named."""
    with serving([]) as registry:
        said = fails(log_in(tmp_path, registry.host, "-u", "me", *arguments), 2)

    assert "is refused" in said
    assert "hint: give it to --password-stdin" in said
    assert not config(tmp_path).exists()
    assert "--password " not in output_of(regkit("login", "--help"))


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        (("reg.test",), b"", "no username is given"),
        (("reg.test", "-u", "me"), b"canary", "no password is given"),
        (("reg.test", "-u", "me", "--password-stdin"), b"", "a password has at least a character"),
        (("reg.test", "-u", "me", "--password-stdin"), b"canary\ncanary\n", "a password has at least a character"),
        (("reg.test", "-u", "me", "--password-stdin"), b"\xffcanary", "isn't UTF-8"),
        (("reg.test", "-u", "me", "--password-stdin"), b"canary" * 4000, "longer than 16384 bytes"),
        (("reg.test/app", "-u", "me", "--password-stdin"), b"canary", "names more than a registry"),
        (("word", "-u", "me", "--password-stdin"), b"canary", "not a registry: 'word'"),
    ],
)
def test_wrong_input(tmp_path: Path, arguments: tuple[str, ...], given: bytes, said: str) -> None:
    """Exit code 2 and a sentence, before any registry is asked."""
    assert said in fails(log_in(tmp_path, *arguments, given=given), 2)
    assert not config(tmp_path).exists()


def test_a_refused_login(tmp_path: Path) -> None:
    """Exit code 4, and nothing is written."""
    with serving([BASIC] * 3) as registry:
        said = fails(log_in(tmp_path, registry.host, "-u", "me", "--password-stdin"), 4)

    assert said.startswith(f"regkit: error: {registry.host} doesn't let the user 'me' in: ")
    assert not config(tmp_path).exists()


def test_warnings(tmp_path: Path) -> None:
    """A login that proves nothing, and one that another source hides, are said to be so; logout names that source."""
    with serving([OK, OK]) as registry:
        env = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {registry.host: {"auth": AUTH}}})}
        done = log_in(tmp_path, registry.host, "-u", "me", "--password-stdin", env=env)
        assert "it asks nobody for a login, so this one is unproven\n" in done.stderr
        assert "warning: the login from DOCKER_AUTH_CONFIG comes first\n" in done.stderr
        assert fails(regkit("logout", registry.host, home=tmp_path, env=env), 0).splitlines() == [
            f"logged out of {registry.host}",
            f"warning: {registry.host} still gets the login from DOCKER_AUTH_CONFIG",
        ]


def test_logout(tmp_path: Path) -> None:
    """It says whether there was something to forget, and is no failure if there wasn't."""
    config(tmp_path).parent.mkdir()
    config(tmp_path).write_text(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": AUTH}}, "x": 1}))

    said = [fails(regkit("logout", "docker.io", home=tmp_path), 0) for _ in range(2)]

    assert said == ["logged out of docker.io\n", "there was no login for docker.io\n"]
    assert json.loads(config(tmp_path).read_text()) == {"auths": {}, "x": 1}
    assert "names more than a registry" in fails(regkit("logout", "a.test/b"), 2)


def test_whoami(tmp_path: Path) -> None:
    """Who, from where, what the registry asked for, and whether it lets one in: as text and as JSON."""
    with serving([*LOGIN, *LOGIN]) as registry:
        env = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {registry.host: {"auth": AUTH}}})}
        text = output_of(regkit("whoami", registry.host, env=env, home=tmp_path))
        document = json.loads(output_of(regkit("whoami", registry.host, "--format", "json", env=env, home=tmp_path)))

    assert text.splitlines() == [
        f"Registry:  {registry.host}",
        "User:      me",
        "Source:    DOCKER_AUTH_CONFIG",
        "Asks for:  Basic",
        "Let in:    yes",
    ]
    assert document == {
        "schema": 1,
        "host": registry.host,
        "user": "me",
        "source": "DOCKER_AUTH_CONFIG",
        "demands": ["basic"],
        "allowed": True,
    }


def test_whoami_where_one_is_nobody(tmp_path: Path) -> None:
    """Anonymous is who has no login: let in by an open registry, and by another not: exit code 4."""
    with serving([OK, OK]) as registry:
        text = output_of(regkit("whoami", registry.host, home=tmp_path)).splitlines()
    assert text[1:] == [
        "User:      anonymous",
        f"Source:    no login in {config(tmp_path)}",
        "Asks for:  nothing",
        "Let in:    yes",
    ]

    with serving([BASIC, BASIC]) as registry:
        done = regkit("whoami", registry.host, home=tmp_path)
    said = fails(done, 4)
    assert done.stdout.endswith("Let in:    no\n")
    assert said.startswith(f"regkit: error: {registry.host} doesn't let anonymous in: ")
    assert f"  hint: regkit login {registry.host}\n" in said


def test_whoami_with_a_refused_login(tmp_path: Path) -> None:
    """Exit code 4 names the user."""
    with serving([BASIC] * 3) as registry:
        env = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {registry.host: {"auth": AUTH}}})}
        said = fails(regkit("whoami", registry.host, env=env, home=tmp_path), 4)

    assert f"{registry.host} doesn't let the user 'me' in: " in said


def test_whoami_everywhere(tmp_path: Path) -> None:
    """Without a host all logins are listed, and nobody is asked; none at all is an empty list, and people are told."""
    env = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {"b.test": {"auth": AUTH}, "a.test": {}}})}

    assert output_of(regkit("whoami", env=env, home=tmp_path)).splitlines() == [
        "HOST    USER  SOURCE",
        "a.test  -     -",
        "b.test  me    DOCKER_AUTH_CONFIG",
    ]
    assert json.loads(output_of(regkit("whoami", "--format", "json", env=env, home=tmp_path)))["logins"] == [
        {"host": "a.test", "user": None, "source": None},
        {"host": "b.test", "user": "me", "source": "DOCKER_AUTH_CONFIG"},
    ]
    nobody = regkit("whoami", home=tmp_path)
    assert output_of(nobody) == ""
    assert nobody.stderr == "no login is known: regkit login HOST keeps one\n"
    assert regkit("-q", "whoami", home=tmp_path).stderr == ""


def test_a_file_that_others_may_read(tmp_path: Path) -> None:
    """Its owner is told, on stderr, what to do."""
    config(tmp_path).parent.mkdir()
    config(tmp_path).write_text(json.dumps({"auths": {"a.test": {"auth": AUTH}}}))
    config(tmp_path).chmod(0o644)

    done = regkit("whoami", home=tmp_path)

    assert output_of(done).splitlines()[1].split() == ["a.test", "me", str(config(tmp_path))]
    assert done.stderr == f"warning: others on this machine may read {config(tmp_path)}; mend it: chmod 600\n"


def test_a_helper_that_fails_is_no_anonymous_surprise(tmp_path: Path) -> None:
    """Every command that needs the login ends with 2 and the helper's name."""
    with serving([BASIC] * 12) as registry:
        env = {"DOCKER_AUTH_CONFIG": json.dumps({"credHelpers": {registry.host: "absent"}})}
        for arguments in (("whoami", registry.host), ("tag", "ls", f"{registry.host}/app")):
            said = fails(regkit(*arguments, env=env, home=tmp_path), 2)
            named = f"docker-credential-absent, which DOCKER_AUTH_CONFIG names for {registry.host}, isn't on the PATH"
            assert named in said
