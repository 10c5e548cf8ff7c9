from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import git, output_of, regkit
from tests.support.registries import RunningRegistry


@pytest.mark.parametrize("registry", ["distribution", "embedded"], indirect=True)
def test_the_file_can_be_published_by_at_once(hello: Path, registry: RunningRegistry, builder: str) -> None:
    """What `init` writes is what `publish` plans: image, platforms, tags of git's version; pushed is nothing."""
    image = f"{registry.host}/team/hello"
    done = regkit("init", "--image", image, cwd=hello)
    assert output_of(done) == "regkit.toml\n"
    git(hello, "add", "regkit.toml")

    env = {"BUILDKIT_HOST": builder}
    plan = output_of(regkit("publish", "--dry-run", cwd=hello, env=env)).splitlines()

    assert f"image      {image}" in plan
    assert "platforms  linux/amd64, linux/arm64" in plan
    assert [line.split(":")[0].split()[1] for line in plan if line.startswith("tag ")] == [
        "1",
        "1.2",
        "1.2.3",
        "latest",
    ]
    assert registry.writes() == []
    assert output_of(regkit("publish", "--dry-run", ".", "--image", image, cwd=hello, env=env)).splitlines() == plan


def test_it_overwrites_nothing(hello: Path) -> None:
    """A second time it is refused; --dry-run prints the same file, and writes none."""
    shown = output_of(regkit("init", "--dry-run", cwd=hello))
    assert not (hello / "regkit.toml").exists()
    output_of(regkit("init", cwd=hello))
    assert (hello / "regkit.toml").read_text() == shown

    again = regkit("init", cwd=hello)
    assert (again.returncode, again.stdout) == (9, "")
    assert "regkit.toml is there already, and isn't overwritten" in again.stderr
    assert "there is no Dockerfile" in regkit("init").stderr
