from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from regkit.cli.app import publish_keys
from regkit.config.load import load_config
from regkit.errors import Refused, UsageError
from regkit.ops.init import LOCAL, PLATFORMS, Project, look, starter, write
from tests.support.command import git


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a directory with a Dockerfile, under git, without a remote."""
    root = tmp_path / "My Project"
    root.mkdir()
    (root / "Dockerfile").write_text("FROM scratch\n")
    git(root, "init")
    return root


@pytest.mark.parametrize(
    ("remote", "image"),
    [
        ("git@github.com:Acme/Hello.git", "ghcr.io/acme/hello"),
        ("https://github.com/acme/hello", "ghcr.io/acme/hello"),
        ("https://user:secret@github.com/acme/hello.git/", "ghcr.io/acme/hello"),
        ("ssh://git@github.com/acme/hello.git", "ghcr.io/acme/hello"),
        ("ssh://git@gitlab.com:22/group/sub/hello.git", "registry.gitlab.com/group/sub/hello"),
        ("git@gitlab.com:group/hello.git", "registry.gitlab.com/group/hello"),
        ("https://git.example/acme/hello", f"{LOCAL}/my-project"),
        ("https://github.com/acme/-", f"{LOCAL}/my-project"),
        ("/srv/git/hello", f"{LOCAL}/my-project"),
        ("", f"{LOCAL}/my-project"),
    ],
)
def test_the_image_is_named_by_the_remote_or_the_directory(project: Path, remote: str, image: str) -> None:
    """A forge's own registry; one on this machine where there is none, and the file says that it's a guess."""
    if remote:
        git(project, "remote", "add", "origin", remote)

    found = look(project, project)

    assert found.image == image
    assert bool(found.guessed) == image.startswith(LOCAL)
    assert "secret" not in starter(found)
    assert look(project, project, image="quay.io/me/x").image == "quay.io/me/x"


@pytest.mark.parametrize(
    ("dockerfile", "platforms"),
    [
        ("FROM scratch\n", PLATFORMS),
        ("FROM --platform=$BUILDPLATFORM golang AS build\nFROM scratch\n", PLATFORMS),
        ("FROM --platform=linux/amd64 golang AS build\nFROM scratch\n", PLATFORMS),
        ("FROM golang AS build\nFROM --platform=linux/arm/v6 scratch\n", ("linux/arm/v6",)),
        ("FROM --platform=${TARGETPLATFORM} scratch\n", PLATFORMS),
        ("FROM --platform=linux/what scratch\n", PLATFORMS),
    ],
)
def test_the_platforms_are_the_usual_ones_or_the_only_one(
    project: Path, dockerfile: str, platforms: tuple[str, ...]
) -> None:
    """A last stage that is fixed to a platform is an image for that one alone."""
    (project / "Dockerfile").write_text(dockerfile)

    assert look(project, project).platforms == platforms


def test_a_context_and_a_dockerfile_elsewhere(project: Path) -> None:
    """Paths are relative to the file that is written."""
    (project / "docker").mkdir()
    (project / "docker" / "Release").write_text("FROM scratch\n")
    found = look(project, project / "docker", file=project / "docker" / "Release")
    assert (found.context, found.file) == ("..", "Release")
    with pytest.raises(UsageError, match="there is no Dockerfile"):
        look(project / "docker", project)


PROJECTS = [
    Project("a", "ghcr.io/me/a", PLATFORMS, ".", None),
    Project("a-b", "localhost:5000/a-b", ("linux/arm/v6",), 'sub "dir"/\\x', "docker/Re\x7flease", "a guess."),
]


@pytest.mark.parametrize("project_", PROJECTS, ids=["usual", "unusual"])
def test_the_file_says_what_was_found(project_: Project, tmp_path: Path) -> None:
    """It is valid, and so it is with every line that is commented out."""
    path = tmp_path / "regkit.toml"
    text = starter(project_)
    path.write_text(text)
    [entry] = load_config(path, publish_keys).publish
    assert (entry.name, entry.values["image"], entry.values["platform"]) == (
        project_.name,
        [project_.image],
        list(project_.platforms),
    )
    said = tomllib.loads(text)["publish"][project_.name]
    assert (said.get("context", "."), said.get("file")) == (project_.context, project_.file)

    path.write_text(re.sub(r"^# (?=[a-z-]+ = )", "", text, flags=re.MULTILINE))
    everything = load_config(path, publish_keys).publish[0].values
    assert {"context", "file", "tag", "target", "build-arg", "annotation"} <= everything.keys()


def test_nothing_is_overwritten(project: Path) -> None:
    """Neither a file, nor what a pyproject.toml says already."""
    write(project / "regkit.toml", "schema = 1\n")
    with pytest.raises(Refused, match="is there already"):
        write(project / "regkit.toml", "")
    assert (project / "regkit.toml").read_text() == "schema = 1\n"

    (project / "regkit.toml").unlink()
    (project / "pyproject.toml").write_text("[tool.regkit]\n")
    with pytest.raises(Refused, match=r"pyproject\.toml is there already"):
        write(project / "regkit.toml", "")
    (project / "pyproject.toml").unlink()
    (project / "regkit.toml").symlink_to("nowhere")
    with pytest.raises(Refused, match=r"regkit\.toml is there already"):
        write(project / "regkit.toml", "")
    with pytest.raises(UsageError, match="can't be written: No such file") as caught:
        write(project / "no" / "regkit.toml", "")
    assert caught.value.hint == f"check that {project / 'no'} is a directory that you may write to"
