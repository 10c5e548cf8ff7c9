"""What the CI systems' own variables say of a build: the ref and the commit. A row for each system that documents them.

A merge request or pull request is one, whatever branch it comes from: its number makes `refs/pull/N/merge`. Where a
system has a variable with the whole ref (`refs/tags/v1.2.3`), that counts; else a tag goes before a request, and that
before a branch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")


class System(NamedTuple):
    """The names of one system's variables; `marker` is set in every job, to `value` where that is said."""

    marker: str
    commit: str
    tag: str = ""
    request: str = ""
    """Holds a request's number; what holds no number, as `false`, isn't one."""
    branch: tuple[str, ...] = ()
    ref: str = ""
    value: str = ""


SYSTEMS = (
    # Woodpecker and Drone share names with GitLab and with each other, so they come first.
    System(
        "CI",
        "CI_COMMIT_SHA",
        tag="CI_COMMIT_TAG",
        request="CI_COMMIT_PULL_REQUEST",
        branch=("CI_COMMIT_BRANCH",),
        value="woodpecker",
    ),
    System(
        "DRONE",
        "DRONE_COMMIT_SHA",
        tag="DRONE_TAG",
        request="DRONE_PULL_REQUEST",
        branch=("DRONE_BRANCH", "DRONE_COMMIT_BRANCH"),
    ),
    System("GITHUB_ACTIONS", "GITHUB_SHA", ref="GITHUB_REF"),
    System("GITHUB_REF", "GITHUB_SHA", ref="GITHUB_REF"),
    System(
        "GITLAB_CI",
        "CI_COMMIT_SHA",
        tag="CI_COMMIT_TAG",
        request="CI_MERGE_REQUEST_IID",
        branch=("CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"),
    ),
    System(
        "BUILDKITE",
        "BUILDKITE_COMMIT",
        tag="BUILDKITE_TAG",
        request="BUILDKITE_PULL_REQUEST",
        branch=("BUILDKITE_BRANCH",),
    ),
    System("CIRCLECI", "CIRCLE_SHA1", tag="CIRCLE_TAG", request="CIRCLE_PR_NUMBER", branch=("CIRCLE_BRANCH",)),
    System("TF_BUILD", "BUILD_SOURCEVERSION", ref="BUILD_SOURCEBRANCH"),  # Azure Pipelines
    System(
        "BITBUCKET_BUILD_NUMBER",
        "BITBUCKET_COMMIT",
        tag="BITBUCKET_TAG",
        request="BITBUCKET_PR_ID",
        branch=("BITBUCKET_BRANCH",),
    ),
    System("TRAVIS", "TRAVIS_COMMIT", tag="TRAVIS_TAG", request="TRAVIS_PULL_REQUEST", branch=("TRAVIS_BRANCH",)),
    # Jenkins last: its agents pass on what the machine that they run on has set.
    System("JENKINS_URL", "GIT_COMMIT", tag="TAG_NAME", request="CHANGE_ID", branch=("BRANCH_NAME", "GIT_BRANCH")),
)


def read_ci(env: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Give the ref and the commit; None for what isn't said. An empty variable, as a branch's tag, counts as absent."""
    for system in SYSTEMS:
        there = env.get(system.marker)
        if there and system.value in ("", there):
            return _ref(env, system), _commit(env.get(system.commit, ""))
    return None, None


def _ref(env: Mapping[str, str], system: System) -> str | None:
    if system.ref:
        return env.get(system.ref) or None
    tag, number = env.get(system.tag), env.get(system.request, "")
    if tag:
        return f"refs/tags/{tag}"
    if number.isdecimal():
        return f"refs/pull/{number}/merge"
    branch = next((env[name] for name in system.branch if env.get(name)), None)
    # Jenkins' git plugin tells the remote, too.
    return (
        f"refs/heads/{branch.removeprefix('origin/') if system.commit == 'GIT_COMMIT' else branch}" if branch else None
    )


def _commit(text: str) -> str | None:
    """Give a commit; Buildkite says `HEAD` where a build was started for no certain one."""
    return text if _COMMIT.fullmatch(text) else None
