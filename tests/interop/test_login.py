"""Logins that regkit and its peers leave for each other, and those that builds get, on a registry that wants Basic."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.test_access import HTPASSWD, SECRET, USER, assert_secret_is_in_none, context_of, log_in, publish
from tests.support.command import clean_environment, output_of, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, debian, distribution

HELPER = """#!/bin/sh
read -r given
case $1 in
store) echo "$given" > "$0.kept" ;;
get) cat "$0.kept" 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;
erase) rm "$0.kept" ;;
list) echo '{}' ;;
esac
"""


@pytest.fixture
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningRegistry]:
    """Give a registry that lets one user in, and holds one image: distribution v3, unless a test asks for both."""
    path = tmp_path / "htpasswd"
    path.write_text(HTPASSWD)
    auth = {"auth": {"htpasswd": {"realm": "tests", "path": str(path)}}}
    kind = {"distribution": distribution, "debian": debian}[getattr(request, "param", "distribution")]
    with kind(tmp_path / "registry", extra_config=auth) as running:
        make_layout(tmp_path / "layout")
        log_in(tmp_path, running.host)
        output_of(regkit(*publish(tmp_path, f"{running.host}/app"), home=tmp_path))
        yield running


def run(
    home: Path, *argv: str | Path, given: str | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a tool in a home, with something on stdin."""
    done = subprocess.run(
        [str(word) for word in argv],
        input=given or "",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=clean_environment(home, env),
        cwd=home,
    )
    assert_secret_is_in_none(done)
    return done


def regkit_login(home: Path, host: str, env: dict[str, str] | None = None) -> None:
    argv = (sys.executable, "-m", "regkit", "login", host, "-u", USER, "--password-stdin")
    output_of(run(home, *argv, given=f"{SECRET}\n", env=env))


def reads(tool: str, registry: RunningRegistry) -> tuple[str, ...]:
    """Give a peer's command that reads the image."""
    name = f"{registry.host}/app:1.2.3"
    return {
        "crane": ("crane", "digest", name),
        "skopeo": ("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"),
        "oras": ("oras", "manifest", "fetch", "--plain-http", name),
        "regctl": ("regctl", "--host", f"reg={registry.host},tls=disabled", "manifest", "head", name),
    }[tool]


def logs_in(tool: str, registry: RunningRegistry, home: Path) -> tuple[str, ...]:
    """Give a peer's command that logs in with the password on stdin."""
    user = ("-u", USER, "--password-stdin")
    return {
        "crane": ("crane", "auth", "login", registry.host, *user),
        "skopeo": (
            "skopeo",
            "login",
            "--tls-verify=false",
            "--authfile",
            str(home / "auth.json"),
            *user,
            registry.host,
        ),
        "oras": ("oras", "login", "--plain-http", registry.host, *user),
    }[tool]


def source_of(tool: str, home: Path) -> tuple[Path, dict[str, str]]:
    """Tell where a peer leaves its login, and what regkit's environment has to say for it."""
    if tool == "skopeo":
        return home / "auth.json", {"REGISTRY_AUTH_FILE": str(home / "auth.json")}
    return home / ".docker" / "config.json", {}


def with_helper(home: Path, registry: RunningRegistry, key: str) -> dict[str, str]:
    """Have Docker's configuration name a helper, and give the environment that has it on its PATH."""
    program = home / "bin" / "docker-credential-fake"
    program.parent.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    (home / ".docker").mkdir()
    document = {"credsStore": "fake"} if key == "credsStore" else {"credHelpers": {registry.host: "fake"}}
    (home / ".docker" / "config.json").write_text(json.dumps(document))
    return {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}


on_both = pytest.mark.parametrize("registry", ["distribution", "debian"], indirect=True)
every_tool = pytest.mark.parametrize("tool", ["crane", "skopeo", "oras"])


@on_both
@pytest.mark.parametrize("tool", ["crane", "skopeo", "oras", "regctl"])
def test_a_peer_uses_what_regkit_keeps(registry: RunningRegistry, home: Path, tool: str) -> None:
    """Before the login the peer is kept out, after it let in, and after the logout kept out again."""
    assert run(home, *reads(tool, registry)).returncode != 0

    regkit_login(home, registry.host)
    output_of(run(home, *reads(tool, registry)))

    output_of(regkit("logout", registry.host, home=home))
    assert run(home, *reads(tool, registry)).returncode != 0


def test_a_wrong_password_is_not_kept(registry: RunningRegistry, home: Path) -> None:
    """The registry refuses it: 4, and no file is made."""
    argv = (sys.executable, "-m", "regkit", "login", registry.host, "-u", USER, "--password-stdin")

    done = run(home, *argv, given=f"{SECRET}-wrong")

    assert done.returncode == 4
    assert f"{registry.host} doesn't let the user '{USER}' in: " in done.stderr
    assert not (home / ".docker").exists()


@on_both
@every_tool
def test_regkit_uses_what_a_peer_keeps(registry: RunningRegistry, home: Path, tool: str) -> None:
    """Whatever the peer writes, regkit finds, and says where."""
    path, env = source_of(tool, home)
    assert regkit("whoami", registry.host, home=home, env=env).returncode == 4

    output_of(run(home, *logs_in(tool, registry, home), given=SECRET))

    said = output_of(regkit("whoami", registry.host, "--format", "json", home=home, env=env))
    assert json.loads(said) == {
        "schema": 1,
        "host": registry.host,
        "user": USER,
        "source": str(path),
        "demands": ["basic"],
        "allowed": True,
    }
    assert "1.2.3" in output_of(regkit("tag", "ls", f"{registry.host}/app", home=home, env=env)).split()


@pytest.mark.parametrize("tool", ["oras", "regctl"])
def test_peers_that_know_nothing_of_podmans_file(registry: RunningRegistry, home: Path, tool: str) -> None:
    """With skopeo's login where `REGISTRY_AUTH_FILE` says, oras and regctl stay outside; crane and regkit read it."""
    path, env = source_of("skopeo", home)
    output_of(run(home, *logs_in("skopeo", registry, home), given=SECRET))

    assert run(home, *reads(tool, registry), env=env).returncode != 0
    output_of(run(home, *reads("crane", registry), env=env))
    said = json.loads(output_of(regkit("whoami", registry.host, "--format", "json", home=home, env=env)))
    assert (said["user"], said["source"], said["allowed"]) == (USER, str(path), True)


@pytest.mark.parametrize(  # skopeo has no notion of `credsStore`
    ("tool", "key"),
    [
        ("crane", "credsStore"),
        ("crane", "credHelpers"),
        ("oras", "credsStore"),
        ("oras", "credHelpers"),
        ("skopeo", "credHelpers"),
    ],
)
def test_a_helper_in_between(registry: RunningRegistry, home: Path, tool: str, key: str) -> None:
    """What regkit hands to a helper a peer gets from it; no file of Docker's holds the secret."""
    env = with_helper(home, registry, key)

    regkit_login(home, registry.host, env)

    output_of(run(home, *reads(tool, registry), env=env))
    assert SECRET not in (home / ".docker" / "config.json").read_text()
    assert "auth" not in json.loads((home / ".docker" / "config.json").read_text())["auths"][registry.host]
    output_of(regkit("logout", registry.host, home=home, env=env))
    assert run(home, *reads(tool, registry), env=env).returncode != 0


@pytest.mark.parametrize("tool", ["crane", "oras"])
def test_a_helper_that_a_peer_filled(registry: RunningRegistry, home: Path, tool: str) -> None:
    """What a peer hands to a helper regkit gets from it, and names the helper."""
    env = with_helper(home, registry, "credsStore")

    output_of(run(home, *logs_in(tool, registry, home), given=SECRET, env=env))

    said = json.loads(output_of(regkit("whoami", registry.host, "--format", "json", home=home, env=env)))
    assert (said["user"], said["allowed"]) == (USER, True)
    assert said["source"] == f"docker-credential-fake ({home}/.docker/config.json)"


@pytest.mark.parametrize("source", ["helper", "podman", "variable"])
def test_a_base_image_whose_login_is_kept_elsewhere(
    registry: RunningRegistry, home: Path, tmp_path: Path, builder: str, source: str
) -> None:
    """BuildKit reads a base image with what a helper, podman's file or `DOCKER_AUTH_CONFIG` has for its registry."""
    base = context_of(tmp_path / "base", "FROM scratch\nCOPY busybox /bin/busybox\n")
    into = ("--image", f"{registry.host}/base", "--version", "1.0.0", "--platform", "linux/amd64")
    output_of(regkit("publish", base, *into, home=tmp_path, env={"BUILDKIT_HOST": builder}))
    if source == "helper":
        env = with_helper(home, registry, "credHelpers")
        regkit_login(home, registry.host, env)
    else:
        path = log_in(home / "elsewhere", registry.host)
        env = {"REGISTRY_AUTH_FILE": str(path)} if source == "podman" else {"DOCKER_AUTH_CONFIG": path.read_text()}
    text = f'ARG TAG=1.0.0\nFROM {registry.host}/base:$TAG\nRUN ["/bin/busybox", "touch", "/{source}"]\n'

    command = publish(home, f"{registry.host}/{source}", context_of(home / "context", text))
    done = regkit("--debug", "-v", *command, home=home, env={**env, "BUILDKIT_HOST": builder})

    assert output_of(done).startswith(f"{registry.host}/{source}@sha256:")
    assert_secret_is_in_none(done)
