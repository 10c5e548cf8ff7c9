"""docs/guides/cleanup.md: its configuration is read, and each of its commands does what the guide says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import clean_environment, output_of, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, embedded

GUIDE = (Path(__file__).parents[2] / "docs/guides/cleanup.md").read_text()
IMAGE = "ghcr.io/me/hello"
SYSTEMS = ("cleanup.yml", ".gitlab-ci.yml", "Jenkinsfile", ".woodpecker/cleanup.yaml", ".buildkite/cleanup.yml")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", GUIDE, re.DOTALL)


def commands(text: str) -> list[str]:
    """Give the regkit commands in a block, but for logins: the registry here knows no users."""
    found = re.findall(r"(?:\$ |run: |- |command: |sh ')(regkit (?:cleanup|tag rm)[^\n]*)", text)
    return [command.removesuffix("'") if "sh '" in text else command for command in found]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    """Give a registry with an old and a new image under twelve versions, and a directory with the configuration."""
    for seed, which in enumerate(("old", "new")):
        make_layout(tmp_path / which, ("linux/amd64", "linux/arm64"), seed=seed)
    with embedded(tmp_path / "registry") as running:
        name = f"{running.host}/me/hello"
        for which, tags in {"old": ["1.0.0", "1.0.1"], "new": [f"1.0.{n}" for n in range(2, 12)]}.items():
            output_of(regkit("copy", f"oci:{tmp_path / which}:built", f"{name}:{tags[0]}"))
            output_of(regkit("tag", "set", f"{name}:{tags[0]}", *tags, "latest", "pr-1", "tmp-1"))
        [toml] = blocks("toml")
        (tmp_path / "regkit.toml").write_text(toml.replace(IMAGE, name))
        (tmp_path / "tags").write_text(f"{name}:tmp-1\n")
        yield running


def run(command: str, registry: RunningRegistry, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the guide as a shell does, with this `regkit` and this registry."""
    program = f"{shlex.quote(sys.executable)} -m regkit"
    text = command.replace("regkit", program, 1).replace(IMAGE, f"{registry.host}/me/hello")
    env = clean_environment(directory, {"PATH": os.environ["PATH"]})
    return subprocess.run(["sh", "-c", text], env=env, cwd=directory, capture_output=True, text=True, check=False)


def test_the_guide_has_a_recipe_for_each_system() -> None:
    recipes = [*blocks("yaml"), *blocks("groovy")]

    assert len(recipes) == len(SYSTEMS)
    for system in SYSTEMS:
        assert any(system in recipe.partition("\n")[0] for recipe in recipes), system
    assert all(commands(recipe) for recipe in recipes)


@pytest.mark.parametrize("number", range(len(SYSTEMS)))
def test_each_recipe_cleans(number: int, registry: RunningRegistry, tmp_path: Path) -> None:
    """The highest versions stay, those below go, with their image; the release is whole."""
    recipe = [*blocks("yaml"), *blocks("groovy")][number]
    before = registry.tags("me/hello")
    old = output_of(regkit("resolve", f"{registry.host}/me/hello:1.0.0")).strip()
    for command in commands(recipe):
        output_of(run(command, registry, tmp_path))

    assert registry.tags("me/hello") == [tag for tag in before if tag not in ("1.0.0", "1.0.1")]
    assert regkit("resolve", old).returncode == 5
    output_of(regkit("verify", f"{registry.host}/me/hello:latest"))


def test_the_commands_of_the_text(registry: RunningRegistry, tmp_path: Path) -> None:
    """All of them run; the tag of the list that is read from a file is gone."""
    ran = [command for block in blocks("console") for command in commands(block)]
    for command in ran:
        output_of(run(command, registry, tmp_path))

    assert len(ran) == 4
    assert "tmp-1" not in registry.tags("me/hello")
