"""Where a project is on the web."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.ops.remote import address_of, web_address
from tests.support.command import git


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:me/app.git", "https://github.com/me/app"),
        ("github.com:me/app", "https://github.com/me/app"),
        ("ssh://git@git.example.com:2222/me/app.git", "https://git.example.com/me/app"),
        ("https://token@github.com/me/app/", "https://github.com/me/app"),
        ("http://localhost:3000/me/app.git", "http://localhost:3000/me/app"),
        ("/srv/git/app.git", ""),
        ("../app", ""),
        ("file:///srv/app.git", ""),
        ("https://github.com", ""),
        ("git+ssh://git@[::1]/me/app.git", "https://[::1]/me/app"),
        ("http://[", ""),
        ("https://a:99999/b", ""),
        ("", ""),
    ],
)
def test_remotes_as_people_open_them(remote: str, address: str) -> None:
    assert web_address(remote) == address


@given(st.text())
def test_any_remote(remote: str) -> None:
    assert web_address(remote).startswith(("http://", "https://")) or not web_address(remote)


def test_a_short_form_of_gits_own_is_known(tmp_path: Path) -> None:
    """`url.<base>.insteadOf` stands for the whole address."""
    git(tmp_path, "init", "--quiet")
    assert address_of(tmp_path) == ""
    git(tmp_path, "remote", "add", "origin", "gh:o/r")
    git(tmp_path, "config", "url.https://github.com/.insteadOf", "gh:")

    assert address_of(tmp_path) == "https://github.com/o/r"
