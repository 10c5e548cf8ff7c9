from __future__ import annotations

import os
from pathlib import Path

import pytest

from regkit.errors import UsageError
from regkit.ops.source import Source, detect, from_ci, from_git, short_commit
from regkit.ops.versions import parse_release
from tests.support.command import git

SHA = "8f3c2b1a9d7e6f5c4b3a29181716151413121110"
TRAVIS = {"TRAVIS": "true", "CI": "true", "TRAVIS_COMMIT": SHA}
GITLAB = {"GITLAB_CI": "true", "CI": "true", "CI_COMMIT_SHA": SHA}
GITHUB = {"GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_SHA": SHA}


@pytest.mark.parametrize(
    ("env", "ref", "tag"),
    [
        pytest.param(
            {**GITHUB, "GITHUB_REF": "refs/tags/v1.2.3", "GITHUB_REF_NAME": "v1.2.3", "GITHUB_REF_TYPE": "tag"},
            "refs/tags/v1.2.3",
            "1.2.3",
            id="GitHub, tag",
        ),
        pytest.param(
            {**GITHUB, "GITHUB_REF": "refs/heads/main", "GITHUB_HEAD_REF": "", "GITHUB_BASE_REF": ""},
            "refs/heads/main",
            "main",
            id="GitHub, branch",
        ),
        pytest.param(
            {**GITHUB, "GITHUB_REF": "refs/pull/5/merge", "GITHUB_HEAD_REF": "feature", "GITHUB_BASE_REF": "main"},
            "refs/pull/5/merge",
            "pr-5",
            id="GitHub, pull request",
        ),
        pytest.param(
            {**GITLAB, "CI_COMMIT_TAG": "v1.2.3", "CI_COMMIT_REF_NAME": "v1.2.3", "CI_COMMIT_REF_SLUG": "v1-2-3"},
            "refs/tags/v1.2.3",
            "1.2.3",
            id="GitLab, tag",
        ),
        pytest.param(
            {**GITLAB, "CI_COMMIT_BRANCH": "1.x", "CI_COMMIT_REF_NAME": "1.x"},
            "refs/heads/1.x",
            "1.x",
            id="GitLab, branch",
        ),
        pytest.param(
            {**GITLAB, "CI_COMMIT_REF_NAME": "feature", "CI_MERGE_REQUEST_IID": "17", "CI_MERGE_REQUEST_ID": "90210"},
            "refs/pull/17/merge",
            "pr-17",
            id="GitLab, merge request",
        ),
        pytest.param(
            {**TRAVIS, "TRAVIS_TAG": "v1.2.3", "TRAVIS_BRANCH": "v1.2.3", "TRAVIS_PULL_REQUEST": "false"},
            "refs/tags/v1.2.3",
            "1.2.3",
            id="Travis, tag",
        ),
        pytest.param(
            {**TRAVIS, "TRAVIS_TAG": "", "TRAVIS_BRANCH": "main", "TRAVIS_PULL_REQUEST": "false"},
            "refs/heads/main",
            "main",
            id="Travis, branch: the tag is there, and empty",
        ),
        pytest.param(
            {
                **TRAVIS,
                "TRAVIS_TAG": "",
                "TRAVIS_BRANCH": "main",
                "TRAVIS_PULL_REQUEST": "7",
                "TRAVIS_PULL_REQUEST_BRANCH": "feature",
            },
            "refs/pull/7/merge",
            "pr-7",
            id="Travis, pull request: the branch is the one it goes to",
        ),
    ],
)
def test_ci_systems(env: dict[str, str], ref: str, tag: str) -> None:
    """Each system's variables, as it sets them, give the ref and the commit, and so the right tag."""
    assert from_ci(env) == Source(ref, SHA)
    assert parse_release(ref).exact == tag


@pytest.mark.parametrize("env", [{}, {"CI": "true"}, {"GITHUB_REF": "", "GITHUB_ACTIONS": ""}])
def test_no_ci_system(env: dict[str, str]) -> None:
    """Elsewhere nothing is known."""
    assert from_ci(env) == Source()


@pytest.mark.parametrize(
    "env",
    [{"TRAVIS": "true", "TRAVIS_COMMIT": ""}, {"GITLAB_CI": "true"}, {"GITHUB_ACTIONS": "true", "GITHUB_SHA": ""}],
)
def test_empty_variables_are_absent(env: dict[str, str]) -> None:
    """A variable that is there and empty says nothing."""
    assert from_ci(env) == Source()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=release/1.x")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "one")
    return tmp_path


def test_git(repository: Path) -> None:
    """Outside CI the branch counts, then the highest version among the tags at HEAD, however they sort as text."""
    commit = git(repository, "rev-parse", "HEAD")
    assert from_git(repository) == Source("refs/heads/release/1.x", commit)

    for tag in ("not-a-version", "v1.9.0", "1.10.0", "v1.10.0-rc.1"):
        git(repository, "tag", tag)
    assert from_git(repository) == Source("refs/tags/1.10.0", commit)

    git(repository, "commit", "--quiet", "--allow-empty", "--message", "two")
    assert from_git(repository).ref == "refs/heads/release/1.x"


def test_git_without_a_branch(repository: Path) -> None:
    """A detached HEAD without a tag has a commit, and no ref."""
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", "--detach")

    assert from_git(repository) == Source(None, commit)


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a repository, before the first commit, or without git at all, nothing is known and nothing fails."""
    assert from_git(tmp_path) == Source()
    git(tmp_path, "init", "--quiet")
    assert from_git(tmp_path) == Source()
    monkeypatch.setenv("PATH", "")
    assert from_git(tmp_path) == Source()


def test_git_completes_what_ci_leaves_open(repository: Path) -> None:
    """CI's word counts, and git's where CI says nothing."""
    commit = git(repository, "rev-parse", "HEAD")

    assert detect({"GITHUB_REF": "refs/tags/v9.9.9"}, repository) == Source("refs/tags/v9.9.9", commit)
    assert detect({**TRAVIS, "TRAVIS_BRANCH": "main"}, repository) == Source("refs/heads/main", SHA)
    assert detect({}, repository) == Source("refs/heads/release/1.x", commit)


def test_short_commit() -> None:
    """Seven digits, lower case; anything that isn't a commit is refused before it's part of a tag."""
    assert short_commit(SHA.upper()) == short_commit(SHA[:7]) == "8f3c2b1"
    for wrong in ("8f3c2b", "main", "8f3c2b1!", "8f3c2b1\u0661", ""):
        with pytest.raises(UsageError, match="not a commit"):
            short_commit(wrong)
    with pytest.raises(UsageError, match="none is known") as caught:
        short_commit(None)
    assert caught.value.hint == "give --commit SHA"


def test_the_program_that_a_repository_names_for_signatures_is_not_run(tmp_path: Path) -> None:
    """And what it says isn't taken for the commit."""
    repository, program, ran = tmp_path / "repository", tmp_path / "gpg", tmp_path / "ran"
    repository.mkdir()
    program.write_text(
        f"#!/bin/sh\ntouch {ran}\necho '[GNUPG:] SIG_CREATED ' >&2\n"
        "printf '%s\\n' '-----BEGIN PGP SIGNATURE-----' '' 'AA==' '-----END PGP SIGNATURE-----'\n"
    )
    program.chmod(0o755)
    git(repository, "init", "--initial-branch=main")
    git(repository, "config", "gpg.program", str(program))
    git(repository, "config", "log.showSignature", "true")
    git(repository, "commit", "--allow-empty", "--gpg-sign=me", "--message=signed")
    ran.unlink()

    assert from_git(repository) == Source("refs/heads/main", git(repository, "rev-parse", "HEAD"))
    assert not ran.exists()

    git(repository, "log", "-1")
    assert ran.exists()


def test_a_branch_whose_name_is_no_text(tmp_path: Path) -> None:
    """Git takes any bytes; a version isn't among them, and the commit is known all the same."""
    git(tmp_path, "init", "--initial-branch=main")
    git(tmp_path, "commit", "--allow-empty", "--message=x")
    (tmp_path / ".git" / "HEAD").write_bytes(b"ref: refs/heads/\xff\n")
    (tmp_path / ".git" / "refs" / "heads" / "main").rename(
        Path(os.fsdecode(bytes(tmp_path / ".git/refs/heads") + b"/\xff"))
    )

    assert from_git(tmp_path).commit == git(tmp_path, "rev-parse", "HEAD")
