"""`regkit readme`, as a user and a script meet it."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.support import serving as registry
from tests.support.command import git, output_of, regkit
from tests.support.vendors.dockerhub import Account, HubDouble, Repository
from tests.support.vendors.double import serving
from tests.support.vendors.harbor import HarborDouble
from tests.support.vendors.harbor import Repository as HarborRepository
from tests.vendors.support import CANARY

TEXT = "# App\n\nWhat it does.\n"


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    accounts = [Account("me", CANARY, "personal"), Account("me", "pusher", "personal", "write")]
    with serving(HubDouble(accounts=accounts, repositories={"acme/app": Repository("# Old\n")})) as double:
        yield double


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text(TEXT)
    return tmp_path


def logins(secret: str) -> dict[str, str]:
    """Make DOCKER_AUTH_CONFIG of a user of Docker Hub."""
    auth = base64.b64encode(f"me:{secret}".encode()).decode()
    auths = {"https://index.docker.io/v1/": {"auth": auth}}
    return {"DOCKER_AUTH_CONFIG": json.dumps({"auths": auths})}


def readme(
    project: Path, hub: HubDouble, verb: str, *options: str, secret: str = CANARY
) -> subprocess.CompletedProcess[str]:
    """Run a verb for the repository."""
    arguments = ("readme", verb, "--image", "acme/app", "--api", hub.url, *options)
    return regkit(*arguments, cwd=project, env=logins(secret))


def test_push_says_what_it_did(project: Path, hub: HubDouble) -> None:
    """One line on stdout for each image: updated, then unchanged; README.md is the default."""
    assert output_of(readme(project, hub, "push")) == "docker.io/acme/app: updated\n"
    assert hub.repositories["acme/app"].full == TEXT
    assert output_of(readme(project, hub, "push")) == "docker.io/acme/app: unchanged\n"


def test_push_as_json(project: Path, hub: HubDouble) -> None:
    assert json.loads(output_of(readme(project, hub, "push", "--format", "json"))) == {
        "schema": 1,
        "images": [{"name": "docker.io/acme/app", "changed": True}],
    }


def test_diff(project: Path, hub: HubDouble) -> None:
    """A unified diff; nothing where nothing differs; exit 3 only where that is asked for."""
    shown = readme(project, hub, "diff")
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[:2] == ["--- docker.io/acme/app", "+++ README.md"]
    assert readme(project, hub, "diff", "--detailed-exitcode").returncode == 3

    readme(project, hub, "push")
    assert output_of(readme(project, hub, "diff", "--detailed-exitcode")) == ""


def test_diff_as_json(project: Path, hub: HubDouble) -> None:
    (found,) = json.loads(output_of(readme(project, hub, "diff", "--format", "json")))["images"]
    assert (found["name"], found["vendor"], found["changed"]) == ("docker.io/acme/app", "dockerhub", True)
    assert "-# Old" in found["diff"]


def test_the_configuration_says_it_all(project: Path, hub: HubDouble) -> None:
    """`[readme]`, and the address of the API; that is another host, which gets no login unless the file is named."""
    (project / "page.md").write_text("# Page\n")
    (project / "regkit.toml").write_text(
        f'schema = 1\n[registry."docker.io"]\napi = "{hub.url}"\n'
        '[readme]\nimage = "acme/app"\nfile = "page.md"\nshort = "A line"\n'
    )
    found = regkit("readme", "push", cwd=project, env=logins(CANARY))
    failed(found, 2, "would send the login for docker.io to", "--config", "REGKIT_CONFIG")
    assert hub.sent() == []

    done = regkit("--config", "regkit.toml", "readme", "push", cwd=project, env=logins(CANARY))
    assert output_of(done) == "docker.io/acme/app: updated\n"
    assert (hub.repositories["acme/app"].full, hub.repositories["acme/app"].short) == ("# Page\n", "A line")


def test_what_lies_outside_of_the_project_is_shown_to_nobody(project: Path, hub: HubDouble) -> None:
    """By a path in a file that nobody named, by git's own directory, and by a link, which names what it leads to."""
    secret = project / "secret"
    secret.write_text(f"token={CANARY}\n")
    inner = project / "inner"
    inner.mkdir()
    git(inner, "init")
    (inner / "regkit.toml").write_text('[readme]\nimage = "acme/app"\nfile = "../secret"\n')
    failed(readme(inner, hub, "push"), 2, "readme.file of ", "leads out of the project", "REGKIT_CONFIG")
    (inner / "regkit.toml").write_text('[readme]\nimage = "acme/app"\nfile = ".git/config"\n')
    failed(readme(inner, hub, "diff"), 2, "leads out of the project")
    (inner / "regkit.toml").unlink()
    (inner / "README.md").symlink_to(secret)
    for options in ((), ("--file", "README.md")):
        for verb in ("push", "diff"):
            failed(readme(inner, hub, verb, *options), 2, "leads out of the project", "name that file itself")
    assert hub.sent() == []

    output_of(readme(inner, hub, "push", "--file", "../secret"))
    (inner / "docs.md").write_text(TEXT)
    (inner / "README.md").unlink()
    (inner / "README.md").symlink_to("docs.md")
    output_of(readme(inner, hub, "push"))
    assert hub.repositories["acme/app"].full == TEXT


def test_a_harbor_by_its_configuration(project: Path) -> None:
    """`vendor = "harbor"` in the registry's section; the API is where the registry is."""
    users = {"robot$ci": (CANARY, {"read", "update"})}
    with serving(HarborDouble(users=users, repositories={"team/app": HarborRepository()})) as double:
        (project / "regkit.toml").write_text(f'schema = 1\n[registry."{double.host}"]\nvendor = "harbor"\n')
        auth = base64.b64encode(f"robot$ci:{CANARY}".encode()).decode()
        env = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {double.host: {"auth": auth}}})}
        done = regkit("readme", "push", "--image", f"{double.host}/team/app", cwd=project, env=env)

        assert output_of(done) == f"{double.host}/team/app: updated\n"
        assert double.repositories["team/app"].description == TEXT


def failed(done: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    """Check an exit code, and what stderr says, without a traceback or a secret."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert CANARY not in done.stderr
    for text in said:
        assert text in done.stderr


def test_a_token_that_lacks_a_scope(project: Path, hub: HubDouble) -> None:
    """Exit 4, and the level that it needs; this is what most people meet first."""
    done = readme(project, hub, "push", secret="pusher")
    failed(
        done,
        4,
        "docker.io/acme/app: can't write the description of acme/app",
        "403 Forbidden (insufficient scope)",
        "for the user 'me' from DOCKER_AUTH_CONFIG",
        "hint: a personal access token needs Read, Write, Delete for this",
    )


def test_no_login(project: Path, hub: HubDouble) -> None:
    """Reading works without one; writing says to log in."""
    options = ("--image", "acme/app", "--api", hub.url)
    assert regkit("readme", "diff", *options, cwd=project).returncode == 0
    failed(regkit("readme", "push", *options, cwd=project), 4, "anonymous", "hint: log in to docker.io")


def test_a_registry_of_nobody_that_is_known(project: Path) -> None:
    """Whose it is has to be said, and the hint says how: exit code 2."""
    with registry() as served:
        done = regkit("readme", "push", "--image", f"{served.host}/acme/app", cwd=project)

    say = f'--provider harbor, or vendor = "harbor" in [registry."{served.host}"]'
    failed(done, 2, f"whose registry {served.host} is", say)


def test_a_repository_that_is_not_there(project: Path, hub: HubDouble) -> None:
    done = regkit("readme", "push", "--image", "acme/other", "--api", hub.url, cwd=project, env=logins(CANARY))
    failed(done, 5, "acme/other", "404 Not Found")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "no repository is named"),
        (("--image", "acme/app:1.0"), 2, "names more than a repository"),
        (("--image", "acme/app", "--file", "none.md"), 2, "none.md can't be read"),
        (("--image", "acme/app", "--api", "hub"), 2, "not an API's address"),
        (("--image", "acme/app", "--api", "http://hub.test"), 2, "isn't sent in the clear"),
        (("--image", "acme/app", "--base", "docs"), 2, "not a base for links"),
        (("--image", "acme/app", "--short", "x" * 101), 2, "100 bytes at most, this one has 101"),
        (("--image", "acme/app", "--provider", "nexus"), 2, "nexus"),
        (("--image", "ghcr.io/acme/app"), 9, "takes no README"),
        (("--image", "registry.gitlab.com/a/b"), 9, "shows no README"),
        (("--image", "public.ecr.aws/a/b"), 9, "shows no README"),
        (("--image", "127.0.0.1:1/a/b"), 75, "can't be reached"),
    ],
)
def test_wrong_input(project: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    """One sentence and the right exit code, before anything is sent."""
    failed(regkit("readme", "push", *arguments, cwd=project), code, said)
    failed(regkit("readme", "diff", *arguments, cwd=project), code, said)
