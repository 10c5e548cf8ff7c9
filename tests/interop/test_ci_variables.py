"""What a publish is told by the environment: the CI's variables, the builder's, and its own options'."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import commit, git, output_of, regkit
from tests.support.registries import RunningRegistry, distribution

SHA = "0123456789abcdef0123456789abcdef01234567"
VERSION_TAGS = ["1", "1.2", "1.2.3", "latest"]

GITHUB = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_SHA": SHA, "GITHUB_HEAD_REF": "", "GITHUB_BASE_REF": ""}
GITLAB = {"CI": "true", "GITLAB_CI": "true", "CI_COMMIT_SHA": SHA, "CI_COMMIT_SHORT_SHA": SHA[:8]}
TRAVIS = {"CI": "true", "TRAVIS": "true", "TRAVIS_COMMIT": SHA, "TRAVIS_TAG": "", "TRAVIS_PULL_REQUEST": "false"}

JENKINS = {"JENKINS_URL": "https://ci.example/", "BUILD_NUMBER": "7", "GIT_COMMIT": SHA}
WOODPECKER = {"CI": "woodpecker", "CI_COMMIT_SHA": SHA, "CI_COMMIT_TAG": "", "CI_COMMIT_PULL_REQUEST": ""}
BUILDKITE = {"CI": "true", "BUILDKITE": "true", "BUILDKITE_COMMIT": SHA, "BUILDKITE_TAG": ""}
CIRCLE = {"CI": "true", "CIRCLECI": "true", "CIRCLE_SHA1": SHA}
AZURE = {"TF_BUILD": "True", "BUILD_SOURCEVERSION": SHA}
BITBUCKET = {"CI": "true", "BITBUCKET_BUILD_NUMBER": "7", "BITBUCKET_COMMIT": SHA}
DRONE = {"CI": "true", "DRONE": "true", "DRONE_COMMIT_SHA": SHA}


def github(ref: str, kind: str, **more: str) -> dict[str, str]:
    name = ref.split("/", 2)[2]
    return {**GITHUB, "GITHUB_REF": ref, "GITHUB_REF_NAME": name, "GITHUB_REF_TYPE": kind, **more}


BUILDS = {
    "GitHub, a tag": (github("refs/tags/v1.2.3", "tag"), VERSION_TAGS),
    "GitHub, a tag without v": (github("refs/tags/1.2.3", "tag"), VERSION_TAGS),
    "GitHub, a pre-release": (github("refs/tags/v1.2.3-rc.1", "tag"), ["1.2.3-rc.1"]),
    "GitHub, a version with build metadata": (github("refs/tags/v0.4.1+b7", "tag"), ["0.4", "0.4.1_b7", "latest"]),
    "GitHub, a branch": (github("refs/heads/main", "branch"), ["main"]),
    "GitHub, a branch with a slash": (github("refs/heads/feature/log-in", "branch"), ["feature-log-in"]),
    "GitHub, a branch that looks like a version": (github("refs/heads/1.2.3", "branch"), ["1.2.3"]),
    "GitHub, a pull request": (
        github("refs/pull/17/merge", "branch", GITHUB_HEAD_REF="feature", GITHUB_BASE_REF="main"),
        ["pr-17"],
    ),
    "GitLab, a tag": ({**GITLAB, "CI_COMMIT_TAG": "v1.2.3", "CI_COMMIT_REF_NAME": "v1.2.3"}, VERSION_TAGS),
    "GitLab, a branch": ({**GITLAB, "CI_COMMIT_BRANCH": "main", "CI_COMMIT_REF_NAME": "main"}, ["main"]),
    "GitLab, a merge request": (
        {
            **GITLAB,
            "CI_COMMIT_REF_NAME": "feature",
            "CI_MERGE_REQUEST_IID": "17",
            "CI_MERGE_REQUEST_REF_PATH": "refs/merge-requests/17/merge",
        },
        ["pr-17"],
    ),
    "Travis, a tag": ({**TRAVIS, "TRAVIS_TAG": "v1.2.3", "TRAVIS_BRANCH": "v1.2.3"}, VERSION_TAGS),
    "Travis, a branch, its tag empty": ({**TRAVIS, "TRAVIS_BRANCH": "main"}, ["main"]),
    "Travis, a pull request": (
        {
            **TRAVIS,
            "TRAVIS_BRANCH": "main",
            "TRAVIS_PULL_REQUEST": "17",
            "TRAVIS_PULL_REQUEST_BRANCH": "feature",
            "TRAVIS_PULL_REQUEST_SHA": "f" * 40,
        },
        ["pr-17"],
    ),
    "Jenkins, a tag": ({**JENKINS, "TAG_NAME": "v1.2.3", "BRANCH_NAME": "v1.2.3"}, VERSION_TAGS),
    "Jenkins, a branch": ({**JENKINS, "BRANCH_NAME": "main", "GIT_BRANCH": "main"}, ["main"]),
    "Jenkins, a branch of a job that isn't a multibranch one": ({**JENKINS, "GIT_BRANCH": "origin/main"}, ["main"]),
    "Jenkins, a pull request": (
        {**JENKINS, "BRANCH_NAME": "PR-17", "CHANGE_ID": "17", "CHANGE_BRANCH": "feature"},
        ["pr-17"],
    ),
    "Woodpecker, a tag": (
        {**WOODPECKER, "CI_COMMIT_REF": "refs/tags/v1.2.3", "CI_COMMIT_TAG": "v1.2.3", "CI_COMMIT_BRANCH": ""},
        VERSION_TAGS,
    ),
    "Woodpecker, a branch": ({**WOODPECKER, "CI_COMMIT_BRANCH": "main"}, ["main"]),
    "Woodpecker, a pull request: the branch is the one it goes to": (
        {**WOODPECKER, "CI_COMMIT_BRANCH": "main", "CI_COMMIT_PULL_REQUEST": "17"},
        ["pr-17"],
    ),
    "Buildkite, a tag": ({**BUILDKITE, "BUILDKITE_TAG": "v1.2.3", "BUILDKITE_BRANCH": "v1.2.3"}, VERSION_TAGS),
    "Buildkite, a branch": ({**BUILDKITE, "BUILDKITE_BRANCH": "main", "BUILDKITE_PULL_REQUEST": "false"}, ["main"]),
    "Buildkite, a pull request": (
        {**BUILDKITE, "BUILDKITE_BRANCH": "feature", "BUILDKITE_PULL_REQUEST": "17"},
        ["pr-17"],
    ),
    "CircleCI, a tag": ({**CIRCLE, "CIRCLE_TAG": "v1.2.3"}, VERSION_TAGS),
    "CircleCI, a branch": ({**CIRCLE, "CIRCLE_BRANCH": "main"}, ["main"]),
    "CircleCI, a fork's pull request": ({**CIRCLE, "CIRCLE_BRANCH": "pull/17", "CIRCLE_PR_NUMBER": "17"}, ["pr-17"]),
    "Azure, a tag": ({**AZURE, "BUILD_SOURCEBRANCH": "refs/tags/v1.2.3"}, VERSION_TAGS),
    "Azure, a branch": ({**AZURE, "BUILD_SOURCEBRANCH": "refs/heads/main"}, ["main"]),
    "Azure, a pull request": ({**AZURE, "BUILD_SOURCEBRANCH": "refs/pull/17/merge"}, ["pr-17"]),
    "Bitbucket, a tag": ({**BITBUCKET, "BITBUCKET_TAG": "v1.2.3"}, VERSION_TAGS),
    "Bitbucket, a branch": ({**BITBUCKET, "BITBUCKET_BRANCH": "main"}, ["main"]),
    "Bitbucket, a pull request": ({**BITBUCKET, "BITBUCKET_BRANCH": "feature", "BITBUCKET_PR_ID": "17"}, ["pr-17"]),
    "Drone, a tag": ({**DRONE, "DRONE_TAG": "v1.2.3", "DRONE_BRANCH": ""}, VERSION_TAGS),
    "Drone, a branch": ({**DRONE, "DRONE_BRANCH": "main"}, ["main"]),
    "Drone, a pull request": ({**DRONE, "DRONE_BRANCH": "main", "DRONE_PULL_REQUEST": "17"}, ["pr-17"]),
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Give one registry for all: a dry run writes nothing."""
    with distribution(tmp_path_factory.mktemp("registry")) as running:
        yield running
        assert running.writes() == []


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Give a context outside any git repository, as an unpacked archive is."""
    path = tmp_path / "context"
    path.mkdir()
    (path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    return path


def plan(context: Path, registry: RunningRegistry, *options: str, env: Mapping[str, str]) -> dict[str, Any]:
    """Give the plan of a publish in this environment."""
    arguments: tuple[str | Path, ...] = (
        "publish",
        context,
        "--image",
        f"{registry.host}/app",
        "--dry-run",
        "--format",
        "json",
        *options,
    )
    document: dict[str, Any] = json.loads(output_of(regkit(*arguments, env=env)))
    return document


def tags(document: dict[str, Any]) -> list[str]:
    return [decision["tag"] for decision in document["tags"]]


@pytest.mark.parametrize("build", BUILDS)
def test_ci_systems(registry: RunningRegistry, context: Path, build: str) -> None:
    """Without git, the CI's own variables say what is published: its tags, and the commit for what is on the way."""
    env, expected = BUILDS[build]

    document = plan(context, registry, "--platform", "linux/amd64,linux/arm/v6", "--intermediate", "tag", env=env)

    assert tags(document) == expected
    assert document["intermediates"] == ["0123456-linux-amd64", "0123456-linux-arm-v6"]
    assert document["annotations"]["org.opencontainers.image.revision"] == SHA


def test_a_commit_that_is_none_is_asked_of_git(registry: RunningRegistry, context: Path) -> None:
    """Buildkite says `HEAD` where a build was started for no certain commit."""
    git(context, "init", "--quiet", "--initial-branch=main")
    head = commit(context)
    env = {**BUILDKITE, "BUILDKITE_COMMIT": "HEAD", "BUILDKITE_BRANCH": "next"}

    document = plan(context, registry, "--platform", "linux/amd64", env=env)

    assert tags(document) == ["next"]
    assert document["annotations"]["org.opencontainers.image.revision"] == head


def test_ci_tag_that_is_not_a_version(registry: RunningRegistry, context: Path) -> None:
    """A tag build of another name is refused rather than published as something else."""
    env = {**TRAVIS, "TRAVIS_TAG": "nightly", "TRAVIS_BRANCH": "nightly"}

    done = regkit("publish", context, "--image", f"{registry.host}/app", "--dry-run", env=env)

    assert (done.returncode, done.stdout) == (2, "")
    assert "regkit: error: not a semantic version: 'nightly'\n" in done.stderr


def test_ci_goes_before_git_and_options_before_both(registry: RunningRegistry, context: Path) -> None:
    """A clone has a version of its own: the CI's counts, unless an option or its `REGKIT_` variable says otherwise."""
    git(context, "init", "--quiet", "--initial-branch=main")
    head = commit(context, "v9.0.0")
    on_the_way = ("--platform", "linux/amd64", "--intermediate", "tag")
    ci, said = github("refs/heads/next", "branch"), {"REGKIT_VERSION": "v3.1.4", "REGKIT_COMMIT": "abcdef0"}

    by_git = plan(context, registry, *on_the_way, env={})
    by_ci = plan(context, registry, *on_the_way, env=ci)
    by_variable = plan(context, registry, *on_the_way, env={**ci, **said})
    by_option = plan(context, registry, *on_the_way, "--version", "2.7.1", "--commit", "1234567", env={**ci, **said})

    found = [(tags(document)[-2:], document["intermediates"]) for document in (by_git, by_ci, by_variable, by_option)]
    assert found == [
        (["9.0.0", "latest"], [f"{head[:7]}-linux-amd64"]),
        (["next"], ["0123456-linux-amd64"]),
        (["3.1.4", "latest"], ["abcdef0-linux-amd64"]),
        (["2.7.1", "latest"], ["1234567-linux-amd64"]),
    ]


def test_platforms(registry: RunningRegistry, context: Path) -> None:
    """`DOCKER_PLATFORMS`, before it `REGKIT_PLATFORM`, before both the option; spaces around commas don't hurt."""
    docker = {**TRAVIS, "TRAVIS_BRANCH": "main", "DOCKER_PLATFORMS": "linux/amd64, linux/arm64/v8,linux/arm/v7"}
    own = {**docker, "REGKIT_PLATFORM": "linux/s390x,linux/386"}

    assert plan(context, registry, env=docker)["platforms"] == ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"]
    assert plan(context, registry, env=own)["platforms"] == ["linux/s390x", "linux/386"]
    assert plan(context, registry, "--platform", "linux/riscv64", env=own)["platforms"] == ["linux/riscv64"]


def test_platform_of_the_builder(registry: RunningRegistry, context: Path, builder: str) -> None:
    """Without any, and with an empty `DOCKER_PLATFORMS`, it's what the builder at `BUILDKIT_HOST` builds natively."""
    env = {**TRAVIS, "TRAVIS_BRANCH": "main", "DOCKER_PLATFORMS": "", "BUILDKIT_HOST": builder}

    (native,) = plan(context, registry, env=env)["platforms"]

    assert [native] == plan(context, registry, env={**env, "BUILDKIT_HOST": ""})["platforms"]
    assert native.startswith("linux/")


def test_builder_that_is_not_there(registry: RunningRegistry, context: Path) -> None:
    """`BUILDKIT_HOST` is meant: where nobody answers, no other builder takes its place, and 75 names it."""
    env = {**TRAVIS, "TRAVIS_BRANCH": "main", "BUILDKIT_HOST": "tcp://127.0.0.1:1", "DOCKER_PLATFORMS": "linux/amd64"}

    done = regkit("publish", context, "--image", f"{registry.host}/app", env=env)

    assert (done.returncode, done.stdout) == (75, "")
    assert "regkit: error: can't reach the builder at tcp://127.0.0.1:1: " in done.stderr
    assert "  hint: is buildkitd running there? without BUILDKIT_HOST regkit starts its own\n" in done.stderr


def test_every_option_has_its_variable(registry: RunningRegistry, context: Path) -> None:
    """A publish that is told all by `REGKIT_…`, with no option but its name."""
    (context / "Dockerfile").rename(context / "Dockerfile.other")
    env = {
        "REGKIT_IMAGE": f"{registry.host}/team/app",
        "REGKIT_PLATFORM": "linux/amd64",
        "REGKIT_VERSION": "refs/heads/main",
        "REGKIT_COMMIT": SHA,
        "REGKIT_TAG": "edge nightly",
        "REGKIT_FILE": str(context / "Dockerfile.other"),
        "REGKIT_ANNOTATION": "org.example.key=one value\norg.example.other=another\n",
        "REGKIT_INTERMEDIATE": "tag",
        "REGKIT_FORMAT": "json",
        "REGKIT_PROGRESS": "json",
    }

    done = regkit("publish", context, "--dry-run", env=env)

    document = json.loads(output_of(done))
    assert document["image"] == f"{registry.host}/team/app"
    assert tags(document) == ["edge", "nightly"]
    assert document["intermediates"] == ["0123456-linux-amd64"]
    assert document["annotations"]["org.example.key"] == "one value"
    assert document["annotations"]["org.example.other"] == "another"
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["StageStarted"]


def test_build_argument_with_spaces(registry: RunningRegistry, context: Path) -> None:
    """`REGKIT_BUILD_ARG` holds an argument a line, and a value is kept whole: it means what the option means."""
    said = "GREETING=hello world\nNAME=x"
    by_variable = plan(
        context, registry, "--platform", "linux/amd64", "--version", "1.0.0", env={"REGKIT_BUILD_ARG": said}
    )
    by_option = plan(
        *(context, registry, "--platform", "linux/amd64", "--version", "1.0.0"),
        *("--build-arg", "GREETING=hello world", "--build-arg", "NAME=x"),
        env={},
    )

    assert by_variable["annotations"] == by_option["annotations"]
    assert "vnd.regkit.source.digest" in by_option["annotations"]


def test_empty_variables_count_as_absent(registry: RunningRegistry, context: Path) -> None:
    """A CI file that passes on what isn't set, as `${{ vars.X }}` does, changes nothing."""
    names = ("IMAGE", "PLATFORM", "VERSION", "COMMIT", "TAG", "FILE", "TARGET", "ANNOTATION", "BUILD_ARG", "FROM")
    empty = {f"REGKIT_{name}": "" for name in (*names, "METADATA_FILE", "CA_FILE", "PLAIN_HTTP", "REBUILD")}
    env = {**GITHUB, "GITHUB_REF": "refs/tags/v1.2.3", **empty, "DOCKER_PLATFORMS": "linux/amd64"}

    assert tags(plan(context, registry, env=env)) == VERSION_TAGS
