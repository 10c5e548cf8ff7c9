"""Where relative links lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from regkit.errors import UsageError
from regkit.ops.readme_base import Base, base_at, base_of
from tests.support.command import commit, git

STAY = ("#part", "", "?x", "//cdn.test/a", "https://a.test", "mailto:me@x", "data:x", "../../a")
LAB = "https://gitlab.x.test:8443/g/s/r"
BASE = Base("https://x.test/blob", "https://x.test/raw", "docs")


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("a.md", "https://x.test/blob/docs/a.md"),
        ("./a.md", "https://x.test/blob/docs/a.md"),
        ("../a.md", "https://x.test/blob/a.md"),
        ("/a.md", "https://x.test/blob/a.md"),
        ("a/", "https://x.test/blob/docs/a/"),
        ("..", "https://x.test/blob"),
        ("a b.md", "https://x.test/blob/docs/a%20b.md"),
        ("a%20b.md", "https://x.test/blob/docs/a%20b.md"),
        ("a(b).md", "https://x.test/blob/docs/a%28b%29.md"),
        ("a.md?x=1#part", "https://x.test/blob/docs/a.md?x=1#part"),
        ("größe.md", "https://x.test/blob/docs/gr%C3%B6%C3%9Fe.md"),
        *(
            (same, same)
            for same in ("#part", "", "?x", "//cdn.test/a", "https://a.test", "mailto:me@x", "data:x", "../../a")
        ),
    ],
)
def test_destinations(destination: str, expected: str) -> None:
    """Relative to the README's folder, or to the project's top; what is whole or leads out stays."""
    assert BASE.resolve(destination, False) == expected
    assert BASE.resolve(destination, True) == expected.replace("/blob", "/raw")


REMOTES = [
    ("https://github.com/o/r.git", "https://github.com/o/r/blob/HEAD", "https://github.com/o/r/raw/HEAD"),
    ("https://github.com/o/r", "https://github.com/o/r/blob/HEAD", "https://github.com/o/r/raw/HEAD"),
    ("git@github.com:o/r.git", "https://github.com/o/r/blob/HEAD", "https://github.com/o/r/raw/HEAD"),
    ("ssh://git@github.com:22/o/r.git/", "https://github.com/o/r/blob/HEAD", "https://github.com/o/r/raw/HEAD"),
    ("https://token:c4nary@github.com/o/r.git", "https://github.com/o/r/blob/HEAD", "https://github.com/o/r/raw/HEAD"),
    (
        "https://gitlab.x.test:8443/g/s/r.git",
        *(f"https://gitlab.x.test:8443/g/s/r/-/{k}/HEAD" for k in ("blob", "raw")),
    ),
    ("git@bitbucket.org:o/r.git", "https://bitbucket.org/o/r/src/HEAD", "https://bitbucket.org/o/r/raw/HEAD"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a git repository with a README at its top, and one in a folder."""
    root = tmp_path / "project"
    (root / "docs").mkdir(parents=True)
    for file in (root / "README.md", root / "docs" / "Read me.md"):
        file.write_text("# Hello\n")
    git(root, "init", "--initial-branch=main")
    commit(root)
    return root


@pytest.mark.parametrize(("remote", "links", "images"), REMOTES)
def test_gits_remote(project: Path, remote: str, links: str, images: str) -> None:
    """As its site shows files; a user or a password in it goes nowhere."""
    git(project, "remote", "add", "origin", remote)

    assert base_of(project / "README.md") == Base(links, images, "", f"{links}/README.md")
    assert base_of(project / "docs" / "Read me.md") == Base(links, images, "docs", f"{links}/docs/Read%20me.md")


def test_a_site_that_shows_commits(project: Path) -> None:
    git(project, "remote", "add", "origin", "https://codeberg.org/o/r")
    head = git(project, "rev-parse", "HEAD").strip()

    found = base_of(project / "README.md")
    assert found is not None
    assert found.images == f"https://codeberg.org/o/r/raw/commit/{head}"


@pytest.mark.parametrize("remote", ["https://unknown.test/o/r", "/srv/git/r.git", "../r", "file:///srv/r.git"])
def test_sites_that_are_not_known(project: Path, remote: str) -> None:
    """Guessing would make dead links of them."""
    git(project, "remote", "add", "origin", remote)
    assert base_of(project / "README.md") is None


def test_without_a_remote_or_a_repository(project: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    assert base_of(project / "README.md") is None
    assert base_of(tmp_path / "README.md") is None


def test_a_base_that_is_given() -> None:
    """Images come from `/raw/` where links go to `/blob/`."""
    base = base_at("https://github.com/o/r/blob/v1/docs/")
    assert base.resolve("a.md", False) == "https://github.com/o/r/blob/v1/docs/a.md"
    assert base.resolve("a.png", True) == "https://github.com/o/r/raw/v1/docs/a.png"
    assert base_at("https://docs.test/x").resolve("a.png", True) == "https://docs.test/x/a.png"


@pytest.mark.parametrize("url", ["docs", "ftp://x.test", "https://", "https://me:c4nary@x.test/a"])
def test_what_is_no_base(url: str) -> None:
    with pytest.raises(UsageError, match="not a base for links"):
        base_at(url)
