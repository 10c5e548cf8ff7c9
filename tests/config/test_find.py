from __future__ import annotations

from pathlib import Path

import pytest

from regkit.config.find import MAX_SIZE, find_config, read_file
from regkit.errors import UsageError
from tests.support.command import git


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a git repository with a directory in a directory, in a directory that isn't its own."""
    root = tmp_path / "project"
    (root / "a" / "b").mkdir(parents=True)
    git(root, "init")
    return root


def test_nothing_is_there(project: Path) -> None:
    assert find_config(project) is None


def test_the_nearest_file_up_to_the_root_of_the_repository(project: Path) -> None:
    """A directory's own file comes before the root's; a pyproject.toml counts where it speaks of regkit."""
    (project / "regkit.toml").touch()
    assert find_config(project / "a" / "b") == project / "regkit.toml"

    (project / "a" / "pyproject.toml").write_text('[tool.other]\nregkit = "no"\n')
    assert find_config(project / "a" / "b") == project / "regkit.toml"

    (project / "a" / "pyproject.toml").write_text("[tool.regkit]\nschema = 1\n")
    assert find_config(project / "a" / "b") == project / "a" / "pyproject.toml"

    (project / "a" / "regkit.toml").touch()
    assert find_config(project / "a" / "b") == project / "a" / "regkit.toml"


def test_what_lies_above_the_repository_is_not_looked_at(project: Path) -> None:
    """Nor what lies above a directory that belongs to no repository: that is anybody's."""
    (project.parent / "regkit.toml").touch()
    outside = project.parent / "outside"
    outside.mkdir()

    assert find_config(project / "a") is None
    assert find_config(outside) is None
    assert find_config(project.parent) == project.parent / "regkit.toml"


def test_a_pyproject_that_is_broken_is_ours_where_it_names_us(project: Path) -> None:
    """Mistakes of another tool's part are that tool's to tell, unless ours can't be read for them."""
    (project / "pyproject.toml").write_text("[tool.other\n")
    assert find_config(project) is None

    (project / "pyproject.toml").write_text("[tool.regkit]\nschema = = 1\n")
    assert find_config(project) == project / "pyproject.toml"


def test_what_can_not_be_read(tmp_path: Path) -> None:
    """A file that isn't there, isn't text, or is larger than any configuration."""
    with pytest.raises(UsageError, match=r"a\.toml can't be read: No such file"):
        read_file(tmp_path / "a.toml")
    with pytest.raises(UsageError, match="can't be read: Is a directory"):
        read_file(tmp_path)
    (tmp_path / "b.toml").write_bytes(b"schema = 1\n# \xff\n")
    with pytest.raises(UsageError, match=r"b\.toml:2: this isn't UTF-8"):
        read_file(tmp_path / "b.toml")
    (tmp_path / "c.toml").write_bytes(b"#" * (MAX_SIZE + 1))
    with pytest.raises(UsageError, match="is larger than"):
        read_file(tmp_path / "c.toml")
