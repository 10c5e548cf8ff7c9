"""A canary secret is in no output, no argument of a process and no traceback, whichever step fails, and however."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.command import commit, git, started
from tests.support.vendors import dockerhub, harbor, quay
from tests.support.vendors.double import Answer, Call, Double, serving
from tests.vendors.support import CANARY

USER = {"dockerhub": "me", "quay": "$oauthtoken", "harbor": "robot$ci"}
STEPS = {"dockerhub": 4, "quay": 3, "harbor": 3}
"""How many requests a push makes: a login where there is one, a look, the write, a look."""


def told(call: Call) -> str:
    """Give all that is secret in a request, as a broken server could repeat it."""
    return f"{call.headers.get('authorization', '')} {call.body.decode()}"


FAULTS: dict[str, Callable[[Call], Answer]] = {
    "401": lambda call: Answer(401, {"detail": f"no {told(call)}"}),
    "403": lambda call: Answer(403, {"message": f"no {told(call)}"}),
    "418": lambda call: Answer(418, {"errors": [{"code": told(call), "message": told(call)}]}),
    "redirect": lambda call: Answer(302, None, Location=f"https://evil.test/?{quote(told(call))}"),
    "prose": lambda call: Answer(200, told(call)),
}


def double_of(vendor: str) -> Double:
    """Give a double with a repository that one may write."""
    if vendor == "dockerhub":
        accounts = [dockerhub.Account("me", CANARY, "personal")]
        return dockerhub.HubDouble(accounts=accounts, repositories={"acme/app": dockerhub.Repository()})
    if vendor == "quay":
        tokens = {CANARY: {"repo:read", "repo:write"}}
        return quay.QuayDouble(tokens=tokens, repositories={"acme/app": quay.Repository()})
    users = {"robot$ci": (CANARY, {"read", "update"})}
    return harbor.HarborDouble(users=users, repositories={"acme/app": harbor.Repository()})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a home whose credential helper knows the canary, and a project whose remote has it, too."""
    helper = tmp_path / "bin" / "docker-credential-canary"
    helper.parent.mkdir()
    helper.write_text('#!/bin/sh\ncat > /dev/null\ncat "$HOME/secret.json"\n')
    helper.chmod(0o755)
    (tmp_path / ".docker").mkdir()
    hosts = ("https://index.docker.io/v1/", "quay.io", "harbor.test")
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"credHelpers": dict.fromkeys(hosts, "canary")}))
    project = tmp_path / "project"
    project.mkdir()
    (project / "README.md").write_text("# App\n\n[docs](docs/a.md)\n")
    git(project, "init", "--initial-branch=main")
    commit(project)
    git(project, "remote", "add", "origin", f"https://x-token:{CANARY}@github.com/acme/app.git")
    return tmp_path


def run(home: Path, double: Double, vendor: str, *command: str) -> tuple[int, str, set[str]]:
    """Run a command to its end; give its exit code, all it wrote, and the arguments of all its processes."""
    secret = {"Username": USER[vendor], "Secret": CANARY, "ServerURL": "x"}
    (home / "secret.json").write_text(json.dumps(secret))
    image = {"dockerhub": "acme/app", "quay": "quay.io/acme/app", "harbor": "harbor.test/acme/app"}[vendor]
    options = ("--debug", "-v", "readme", *command, "--image", image, "--provider", vendor, "--api", double.url)
    env = {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    log = home / "log"
    seen: set[str] = set()
    with (
        log.open("wb") as output,
        started(*options, home=home, env=env, cwd=home / "project", stdout=output, stderr=output) as process,
    ):
        while process.poll() is None:
            seen |= arguments_of(process.pid)
    return process.returncode, log.read_text(errors="replace"), seen


def arguments_of(session: int) -> set[str]:
    """Give the command lines of all processes of a session that run now."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                found.add((folder / "cmdline").read_text())
        except (OSError, IndexError):
            continue  # it has ended
    return found


def assert_secret(double: Double, output: str, arguments: set[str], vendor: str) -> None:
    """Neither the canary nor what was made of it is anywhere; the double did get it."""
    tokens = list(double.tokens) if isinstance(double, dockerhub.HubDouble) else []
    basic = base64.b64encode(f"{USER[vendor]}:{CANARY}".encode()).decode()
    for word in (CANARY, quote(CANARY), basic, *tokens):
        assert word not in output
        assert not [line for line in arguments if word in line]
    assert any(CANARY in told(call) or basic in told(call) for call in double.calls)
    assert any("readme" in line for line in arguments)


@pytest.mark.parametrize("vendor", list(STEPS))
@pytest.mark.parametrize("command", ["push", "diff"])
def test_when_all_goes_well(home: Path, vendor: str, command: str) -> None:
    """The login comes from a helper, the links from a remote that has the secret in its URL."""
    with serving(double_of(vendor)) as double:
        code, output, arguments = run(home, double, vendor, command)
        assert code == 0, output
        assert len(double.calls) == STEPS[vendor] - (2 if command == "diff" else 0)
        assert_secret(double, output, arguments, vendor)
        assert CANARY not in "".join(call.body.decode() for call in double.calls if call.method in ("PUT", "PATCH"))


@pytest.mark.parametrize("fault", list(FAULTS))
@pytest.mark.parametrize(
    ("vendor", "step"), [(vendor, step) for vendor, count in STEPS.items() for step in range(count)]
)
def test_when_a_step_fails(home: Path, vendor: str, step: int, fault: str) -> None:
    """With --debug and -v: a traceback, one sentence, no secret; and never success."""
    with serving(double_of(vendor)) as double:
        double.faults = dict.fromkeys(range(step, step + 8), FAULTS[fault])
        code, output, arguments = run(home, double, vendor, "push")
        assert code in (1, 4, 5, 75), output
        assert "Traceback" in output
        assert "regkit: error: " in output
        assert_secret(double, output, arguments, vendor)
