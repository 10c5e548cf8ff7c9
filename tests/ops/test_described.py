"""What an index says of itself, from the CI's variables and git."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regkit.errors import UsageError
from regkit.oci.annotation import CREATED, DESCRIPTION, LICENSES, SOURCE, TITLE, URL
from regkit.ops.described import DESCRIBED, describe, epoch
from tests.support.command import commit, git


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Give a repository with a commit and a remote that has a login in its address."""
    directory = tmp_path / "clone"
    directory.mkdir()
    git(directory, "init", "--initial-branch=main")
    (directory / "file").write_text("text")
    commit(directory)
    git(directory, "remote", "add", "origin", "https://me:secret@git.example.com:8443/team/hello.git")
    return directory


def test_git_tells_source_title_and_time(clone: Path) -> None:
    """The time is the commit's; the remote's login stays where it is."""
    found = describe({}, clone, git(clone, "rev-parse", "HEAD"))

    seconds = int(git(clone, "log", "-1", "--format=%ct"))
    assert datetime.fromisoformat(found.pop(CREATED)) == datetime.fromtimestamp(seconds, UTC)
    assert found == {SOURCE: "https://git.example.com:8443/team/hello", TITLE: "hello"}


def test_source_date_epoch_comes_before_the_commit(clone: Path) -> None:
    found = describe({"SOURCE_DATE_EPOCH": "86400"}, clone, git(clone, "rev-parse", "HEAD"))

    assert found[CREATED] == "1970-01-02T00:00:00Z"


def test_a_commit_that_git_doesnt_know_has_no_time(clone: Path) -> None:
    assert CREATED not in describe({}, clone, "0" * 40)
    assert CREATED not in describe({}, clone, None)


def test_a_commit_is_no_option_of_gits(clone: Path) -> None:
    """A configuration or a plan from elsewhere says what the commit is, and git writes where options say."""
    victim = clone / "file"
    with pytest.raises(UsageError, match="not a commit"):
        describe({}, clone, f"--output={victim}")
    assert victim.read_text() == "text"


def test_github_tells_more(clone: Path, tmp_path: Path) -> None:
    """What the event says of the repository is taken, where it is this one."""
    event = {"repository": {"full_name": "me/app", "description": "Says\n hello.", "license": {"spdx_id": "MIT"}}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    env = {"GITHUB_REPOSITORY": "me/app", "GITHUB_EVENT_PATH": str(tmp_path / "event.json"), "SOURCE_DATE_EPOCH": "0"}
    env["GITHUB_SERVER_URL"] = "https://github.example.com"

    address = "https://github.example.com/me/app"
    assert describe(env, clone, None) == {
        CREATED: "1970-01-01T00:00:00Z",
        DESCRIPTION: "Says hello.",
        LICENSES: "MIT",
        SOURCE: address,
        TITLE: "app",
        URL: address,
    }
    assert describe({**env, "GITHUB_REPOSITORY": "me/fork"}, clone, None).keys().isdisjoint({DESCRIPTION, LICENSES})


@pytest.mark.parametrize("text", [None, "", "[]", "{", '{"repository": 1}', '{"repository": {"license": 1}}'])
def test_an_event_that_says_nothing(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    if text is not None:
        path.write_text(text)
    found = describe({"GITHUB_REPOSITORY": "me/app", "GITHUB_EVENT_PATH": str(path)}, tmp_path, None)

    assert found == {SOURCE: "https://github.com/me/app", TITLE: "app", URL: "https://github.com/me/app"}


def test_gitlab(tmp_path: Path) -> None:
    """Its time has a zone, and is written without."""
    env = {
        "GITLAB_CI": "true",
        "CI_PROJECT_URL": "https://gitlab.example.com/me/app",
        "CI_PROJECT_TITLE": "The App",
        "CI_PROJECT_DESCRIPTION": "Says hello",
        "CI_COMMIT_TIMESTAMP": "2024-05-01T01:30:00+02:00",
    }

    assert describe(env, tmp_path, None) == {
        CREATED: "2024-04-30T23:30:00Z",
        DESCRIPTION: "Says hello",
        SOURCE: "https://gitlab.example.com/me/app",
        TITLE: "The App",
        URL: "https://gitlab.example.com/me/app",
    }


def test_nothing_is_known(tmp_path: Path) -> None:
    assert describe({}, tmp_path, None) == {}


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "1" * 30, "٣", "253402300800"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        epoch({"SOURCE_DATE_EPOCH": text})


def test_what_is_described_is_named() -> None:
    """A release that is published already isn't another one for what is said here."""
    assert {CREATED, DESCRIPTION, LICENSES, SOURCE, TITLE, URL} == DESCRIBED
