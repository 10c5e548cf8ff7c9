"""The guides' recipes publish: read from the Markdown, run with the variables that the CI system documents.

The registry asks for a login, and is a local one under the recipe's name; BuildKit is a running one. What installs
tools is not run but compared.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import typer
import yaml

from regkit.cli.app import app
from regkit.ops.ci import SYSTEMS
from tests.support.command import clone, git, output_of, peer, regkit
from tests.support.recipes import GUIDES, Job, blocks, documents
from tests.support.registries import RunningRegistry, distribution

USER, PASSWORD = "me", "s3cret-of-the-job"
TAGS = {"1", "1.2", "1.2.3", "latest"}
INSTALL = "pip install oci-regkit"
VERSION = re.search(r"moby/buildkit (v\S+)", (GUIDES.parent.parent / "tools/buildkit/go.mod").read_text())[1]  # type: ignore[index]
CLIENT = [
    f"curl -fsSL https://github.com/moby/buildkit/releases/download/{VERSION}/buildkit-{VERSION}.linux-amd64.tar.gz",
    "tar -xzC /usr/local bin/buildctl",
]


@dataclass
class Lab:
    """A registry that asks for a login, a builder, and the sources."""

    registry: RunningRegistry
    builder: str
    origin: Path
    root: Path

    def job(self, name: str, env: dict[str, str], host: str = "registry.example.com") -> Job:
        """Give a machine that has checked out the tag v1.2.3; the recipe's `host` is this registry."""
        checkout = clone(self.origin, self.root / name / "checkout")
        given = {"CI": "true", "BUILDKIT_HOST": self.builder, **env}
        return Job(self.root / name / "home", checkout, given, {host: self.registry.host})

    @property
    def commit(self) -> str:
        return git(self.origin, "rev-parse", "HEAD")

    def platforms(self, repository: str) -> list[str]:
        """Tell a release's platforms; an AssertionError unless all its tags are there."""
        name = f"{self.registry.host}/{repository}"
        auth = self.root / "look"
        env = {"DOCKER_CONFIG": str(auth)}
        if not auth.exists():
            words = ("crane", "auth", "login", self.registry.host, "-u", USER, "-p", PASSWORD)
            output_of(peer(*words, env=env))
        assert set(output_of(peer("crane", "ls", name, env=env)).split()) == TAGS
        index = yaml.safe_load(output_of(peer("crane", "manifest", f"{name}:1.2.3", env=env)))  # JSON is YAML
        platforms = [child["platform"] for child in index["manifests"]]
        found = [(p["os"], p["architecture"], p.get("variant")) for p in platforms if p["os"] != "unknown"]
        return ["/".join(filter(None, parts)) for parts in found]


@pytest.fixture
def lab(tmp_path: Path, builder: str, hello_origin: Path) -> Iterator[Lab]:
    """Give one whose registry lets nobody in but the recipes' user."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (tmp_path / "htpasswd").write_text(f"{USER}:{hashed}\n")
    auth = {"auth": {"htpasswd": {"realm": "recipes", "path": str(tmp_path / "htpasswd")}}}
    with distribution(tmp_path / "registry", extra_config=auth) as registry:
        yield Lab(registry, builder, hello_origin, tmp_path)


def github_env(lab: Lab, root: Path) -> dict[str, str]:
    """Give the runner's own variables for a tag, as GitHub documents them."""
    root.mkdir(parents=True, exist_ok=True)
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": USER,
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_OUTPUT": str(root / "output"),
        "GITHUB_REF": "refs/tags/v1.2.3",
        "GITHUB_REF_NAME": "v1.2.3",
        "GITHUB_REF_TYPE": "tag",
        "GITHUB_REPOSITORY": "Team/Hello",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_SHA": lab.commit,
        "GITHUB_STEP_SUMMARY": str(root / "summary"),
        "RUNNER_TEMP": str(root),
    }


def github_job(job: Job, steps: list[dict[str, Any]], matrix: dict[str, str]) -> None:
    """Run the steps that have commands, with GitHub's expressions replaced."""

    def value(text: str) -> str:
        known = {"github.token": PASSWORD, **{f"matrix.{key}": word for key, word in matrix.items()}}
        return re.sub(r"\$\{\{ *(\S+) *\}\}", lambda found: known[found[1]], text)

    for step in steps:
        if "run" in step:
            assert "${{" not in step["run"], "expressions in scripts are how foreign text becomes a command"
            job.run(step["run"], env={name: value(text) for name, text in step.get("env", {}).items()})
        else:
            assert re.fullmatch(r"actions/(checkout|upload-artifact|download-artifact)@v\d", step["uses"])


def github_setup() -> list[str]:
    return [
        f"docker run --detach --privileged --name buildkitd moby/buildkit:{VERSION}",
        "sudo docker cp buildkitd:/usr/bin/buildctl /usr/local/bin/buildctl",
        INSTALL,
    ]


def test_github_one_job(lab: Lab, tmp_path: Path) -> None:
    """One job logs in, builds and publishes; its outputs and its page are written."""
    workflow = documents("ci-github.md")[0]
    [(_, described)] = workflow["jobs"].items()
    env = github_env(lab, tmp_path / "runner")
    job = lab.job("publish", env, host="ghcr.io")

    github_job(job, described["steps"], {})

    assert lab.platforms("team/hello") == ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"]
    assert job.installed == github_setup()
    assert f"image={lab.registry.host}/team/hello@sha256:" in (tmp_path / "runner/output").read_text()
    page = (tmp_path / "runner/summary").read_text()
    assert "| platform | digest | size | layers | cached |" in page
    assert PASSWORD not in page
    assert workflow[True] == {"push": {"tags": ["v*"]}}, "YAML 1.1 reads `on` as a truth"
    assert workflow["permissions"] == {"contents": "read", "packages": "write"}


def test_github_matrix_and_merge(lab: Lab, tmp_path: Path) -> None:
    """Each machine pushes its platform, and nothing has a tag; the last one merges what all of them handed over."""
    workflow = documents("ci-github.md")[1]
    build, merge = workflow["jobs"]["build"], workflow["jobs"]["merge"]
    handed = tmp_path / "merge-runner" / "digests"
    handed.mkdir(parents=True)
    for number, matrix in enumerate(build["strategy"]["matrix"]["include"]):
        root = tmp_path / f"runner-{number}"
        job = lab.job(f"build-{number}", github_env(lab, root), host="ghcr.io")

        github_job(job, build["steps"], matrix)

        assert job.installed == github_setup()
        assert lab.registry.tags("team/hello") == []
        [file] = (root / "digests").iterdir()  # what upload-artifact and download-artifact carry over
        assert not (handed / file.name).exists()
        file.rename(handed / file.name)
    artifact = {
        step["uses"].partition("@")[0]: step["with"] for step in build["steps"] + merge["steps"] if "with" in step
    }
    paths = {step["path"] for step in artifact.values()}
    assert paths == {"${{ runner.temp }}/digests"}, "where the commands have them"
    assert artifact["actions/download-artifact"]["merge-multiple"] is True

    job = lab.job("merge", github_env(lab, tmp_path / "merge-runner"), host="ghcr.io")
    github_job(job, merge["steps"], {})

    assert job.installed == [INSTALL]
    assert lab.platforms("team/hello") == ["linux/amd64", "linux/arm64/v8"]
    assert merge["needs"] == "build"


def test_gitlab(lab: Lab) -> None:
    """The job's own login is used, and later jobs get variables."""
    [pipeline] = documents("ci-gitlab.md")
    release = pipeline["release"]
    [service] = release["services"]
    assert release["variables"]["BUILDKIT_HOST"] == f"tcp://{service['alias']}:1234"
    assert service["name"] == f"moby/buildkit:{VERSION}-rootless"
    env = {
        "GITLAB_CI": "true",
        "CI_COMMIT_SHA": lab.commit,
        "CI_COMMIT_TAG": "v1.2.3",
        "CI_COMMIT_REF_NAME": "v1.2.3",
        "CI_PROJECT_URL": "https://gitlab.com/team/hello",
        "CI_REGISTRY": lab.registry.host,
        "CI_REGISTRY_IMAGE": f"{lab.registry.host}/team/hello",
        "CI_REGISTRY_USER": USER,
        "CI_REGISTRY_PASSWORD": PASSWORD,
    }
    job = lab.job("release", env)

    job.run("\n".join(release["before_script"] + release["script"]), "bash", "-eo", "pipefail", "-c")

    assert lab.platforms("team/hello") == ["linux/amd64", "linux/arm64/v8"]
    assert job.installed == [INSTALL, *CLIENT]
    report = (job.checkout / release["artifacts"]["reports"]["dotenv"]).read_text()
    assert f"PUBLISHED_IMAGE={lab.registry.host}/team/hello@sha256:" in report


def test_jenkins(lab: Lab) -> None:
    """The pod's BuildKit is the one that the job's container is told of; the step runs as Jenkins runs it."""
    [pipeline] = blocks("ci-jenkins.md", "groovy")
    [pod_text], [script] = (re.findall(rf"{word} '''\n(.*?)'''", pipeline, re.DOTALL) for word in ("yaml", "sh"))
    pod = yaml.safe_load(pod_text)
    own, buildkit = pod["spec"]["containers"]
    assert own["env"] == [{"name": "BUILDKIT_HOST", "value": buildkit["args"][1]}]
    assert buildkit["image"] == f"moby/buildkit:{VERSION}-rootless"
    said = dict(re.findall(r"^ +(\w+) = '(.*)'$", pipeline, re.MULTILINE))
    assert "LOGIN = credentials('registry')" in pipeline
    env = {
        "JENKINS_URL": "https://ci.example.com/",
        "BUILD_NUMBER": "7",
        "TAG_NAME": "v1.2.3",
        "BRANCH_NAME": "v1.2.3",
        "GIT_COMMIT": lab.commit,
        **said,
        "LOGIN": f"{USER}:{PASSWORD}",
        "LOGIN_USR": USER,
        "LOGIN_PSW": PASSWORD,
    }
    job = lab.job("publish", env)
    job.env.pop("CI")

    job.run(script, "sh", "-xe", "-c")

    assert lab.platforms("team/hello") == ["linux/amd64", "linux/arm64/v8"]
    assert job.installed == [INSTALL, *CLIENT]


def test_woodpecker(lab: Lab) -> None:
    """The step has what its environment says, with the secrets, and Woodpecker's own variables."""
    [pipeline] = documents("ci-woodpecker.md")
    [service], [step] = pipeline["services"], pipeline["steps"]
    assert step["environment"]["BUILDKIT_HOST"] == f"tcp://{service['name']}:1234"
    assert service["image"] == f"moby/buildkit:{VERSION}"
    assert not [line for line in step["commands"] if "${" in line], "Woodpecker replaces that itself, beforehand"
    secrets = {"registry_user": USER, "registry_password": PASSWORD}
    given = {
        name: secrets[value["from_secret"]] if isinstance(value, dict) else value
        for name, value in step["environment"].items()
        if name != "BUILDKIT_HOST"
    }
    env = {
        "CI": "woodpecker",
        "CI_COMMIT_SHA": lab.commit,
        "CI_COMMIT_REF": "refs/tags/v1.2.3",
        "CI_COMMIT_TAG": "v1.2.3",
        "CI_COMMIT_BRANCH": "",
        "CI_PIPELINE_EVENT": "tag",
        "CI_REPO_URL": "https://codeberg.org/team/hello",
    }
    job = lab.job("publish", {**env, **given})

    job.run("\n".join(step["commands"]), "sh", "-e", "-c")

    assert lab.platforms("team/hello") == ["linux/amd64", "linux/arm64/v8"]
    assert job.installed == [INSTALL, *CLIENT]


def test_buildkite(lab: Lab) -> None:
    """No secret gets into what is uploaded; on the agent the commands are one script."""
    [pipeline] = documents("ci-buildkite.md")
    [step] = pipeline["steps"]
    commands = "\n".join(step["commands"])
    assert not re.search(r"(?<!\$)\$(?!\$)", commands), "a single $ is replaced at the upload, with what is set there"
    own = {
        "BUILDKITE": "true",
        "BUILDKITE_TAG": "v1.2.3",
        "BUILDKITE_BRANCH": "v1.2.3",
        "BUILDKITE_COMMIT": lab.commit,
        "BUILDKITE_PULL_REQUEST": "false",
    }
    secrets = {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD}
    assert step["secrets"] == list(secrets)
    job = lab.job("publish", {**own, **step["env"], **secrets})
    _, *rest = step["commands"]
    assert step["commands"][0].endswith(f"&& {INSTALL}")

    job.run("\n".join(rest).replace("$$", "$"))

    assert lab.platforms("team/hello") == ["linux/amd64", "linux/arm64/v8"]


def test_from_scripts(lab: Lab) -> None:
    """What the scripts have become: tested, published in order, looked at; with the variants that were missing."""
    [script] = blocks("from-scripts.md", "sh")
    env = {"TRAVIS": "true", "TRAVIS_TAG": "v1.2.3", "TRAVIS_BRANCH": "v1.2.3", "TRAVIS_COMMIT": lab.commit}
    job = lab.job("job", {**env, "REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD})

    out = job.run(script)

    assert lab.platforms("me/hello") == ["linux/amd64", "linux/arm/v6", "linux/arm64/v8"]
    assert re.findall(r"- Variant: (\S+)", out) == ["v6", "v8"]


def test_from_kaniko(lab: Lab) -> None:
    """The digest stands where it stood."""
    [script] = blocks("from-kaniko.md", "sh")
    job = lab.job("job", {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD})

    out = job.run(script)

    assert lab.platforms("me/hello") == ["linux/amd64", "linux/arm64/v8"]
    assert out.strip().endswith((job.checkout / "digest").read_text())


def test_from_docker_manifest(tmp_path: Path, builder: str, hello_origin: Path) -> None:
    """Images under tags of their own become an index, and a release."""
    [script] = blocks("from-docker-manifest.md", "sh")
    with distribution(tmp_path / "registry") as registry:
        name = f"{registry.host}/me/hello"
        for tag, platform in (("build-amd64", "linux/amd64"), ("build-armv6", "linux/arm/v6")):
            words = ("--image", name, "--platform", platform, "--tag", "built", "--version", "v1.2.3")
            output_of(regkit("publish", hello_origin, *words, env={"BUILDKIT_HOST": builder}))
            [child] = yaml.safe_load(output_of(peer("crane", "manifest", f"{name}:built")))["manifests"]
            output_of(peer("crane", "tag", f"{name}@{child['digest']}", tag))
        job = Job(
            tmp_path / "home", clone(hello_origin, tmp_path / "checkout"), {}, {"registry.example.com": registry.host}
        )

        out = job.run(script)

        indexes = [yaml.safe_load(output_of(peer("crane", "manifest", f"{name}:{tag}"))) for tag in ("1.2", "1.2.3")]
        assert set(registry.tags("me/hello")) == {*TAGS, "built", "build-amd64", "build-armv6"}
    assert "linux/arm/v6" in out
    for index in indexes:
        assert [c["platform"].get("variant") for c in index["manifests"]] == [None, "v6"]


CODE = re.compile(r"`((?:regkit|--)[^`]*)`")
TABLES = ("from-scripts.md", "from-kaniko.md", "from-docker-manifest.md", "ci.md")


@pytest.mark.parametrize("guide", TABLES)
def test_what_the_tables_name_is_there(guide: str) -> None:
    """Every command in a table exists and knows its options; an option alone is one of `publish`, or before it."""
    wrong = []
    for line in (GUIDES / guide).read_text().splitlines():
        cells = line.strip("|").split(" | ") if line.startswith("| ") else []
        for code in CODE.findall(" ".join(cells[1:] if guide != "ci.md" else cells)):
            words = shlex.split(code)
            options = [word.partition("=")[0] for word in words if word.startswith("-")]
            unknown = [option for option in options if option not in known_options(words)]
            wrong += [f"{code}: {option}" for option in unknown]

    assert wrong == []


def known_options(words: list[str]) -> set[str]:
    """Give all options of the command that is named, and those before a command."""
    root: Any = typer.main.get_command(app)
    command = root
    context = typer.Context(root)
    for word in words[1:] if words[0] == "regkit" else ["publish"]:
        if not hasattr(command, "get_command"):
            break
        found = command.get_command(context, word)
        assert found is not None, f"there is no command {word!r}: {words}"
        command = found
    parameters = [*root.params, *command.params]
    return {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}


def test_every_row_of_the_scripts_has_its_line() -> None:
    """What the scripts did was written down as twelve rows; none of them is left out."""
    rows = re.findall(r"^\| (\d+) \| .+ \| .+ \|$", (GUIDES / "from-scripts.md").read_text(), re.MULTILINE)

    assert rows == [str(number) for number in range(1, 13)]


def test_the_page_of_variables_is_complete() -> None:
    """Every variable that is read is named there, and no other system is."""
    text = (GUIDES / "ci.md").read_text()
    read = {
        name
        for system in SYSTEMS
        for name in (system.commit, system.tag, system.request, system.ref, *system.branch)
        if name
    }
    rows = [line for line in text.splitlines() if re.match(r"\| [A-Z]\w+.* \| `[A-Z]", line)]

    assert {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row)} == read


def test_nobody_is_told_to_install_a_strangers_package() -> None:
    """`regkit` on PyPI is somebody else's."""
    for page in GUIDES.glob("*.md"):
        assert not re.search(r"pip3? install (-\S+ )*regkit", page.read_text()), page.name
