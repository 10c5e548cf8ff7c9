"""`regkit tag` for several repositories, and for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.support import attested_layout
from tests.support.command import output_of, peer, regkit
from tests.support.registries import RunningRegistry, debian, distribution

TAGS = ["1", "1.2", "1.2.3", "latest"]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Give two repositories with a release each."""
    root = tmp_path_factory.mktemp("registry")
    layout = attested_layout(root / "layout", "linux/amd64")
    with distribution(root / "registry") as registry:
        found = [f"{registry.host}/a", f"{registry.host}/b"]
        for name in found:
            output_of(regkit("publish", "--from", layout, "--image", name, "--version", "1.2.3"))
        yield found


def test_of_one_repository_the_tags_are_listed(names: list[str]) -> None:
    assert output_of(regkit("tag", "ls", names[0])).splitlines() == TAGS


def test_of_several_repositories_whole_names_are_listed(names: list[str]) -> None:
    """They are what `tag rm -` and the others read."""
    whole = [f"{name}:{tag}" for name in names for tag in TAGS]

    assert output_of(regkit("tag", "ls", *names)).splitlines() == whole
    explained = output_of(regkit("tag", "explain", *names)).splitlines()
    assert [line.split()[0] for line in explained[1:]] == whole


def test_lists_as_json_lines(names: list[str]) -> None:
    lines = output_of(regkit("tag", "ls", *names, "--format", "jsonl")).splitlines()
    documents = [{"schema": 1, "name": name, "tag": tag} for name in names for tag in TAGS]
    assert list(map(json.loads, lines)) == documents


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_removed_tags_are_told_as_json(registry: RunningRegistry, tmp_path: Path) -> None:
    """A dry run tells the same, and removes nothing; on stdout is the document alone."""
    name = f"{registry.host}/app"
    layout = attested_layout(tmp_path / "layout", "linux/amd64")
    output_of(regkit("publish", "--from", layout, "--image", name, "--version", "1.2.3"))
    digest = output_of(peer("crane", "digest", f"{name}:1.2")).strip()
    removal = ("tag", "rm", f"{name}:1.2", f"{name}:absent", "--format", "json")
    removed = [{"name": f"{name}:1.2", "digest": digest}, {"name": f"{name}:absent", "digest": None}]

    assert json.loads(output_of(regkit(*removal, "--dry-run"))) == {"schema": 1, "dryRun": True, "removed": removed}
    assert "1.2" in registry.tags("app")
    done = json.loads(output_of(regkit(*removal, "--yes")))
    assert done == {"schema": 1, "dryRun": False, "removed": removed}
    assert "1.2" not in registry.tags("app")


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_what_was_removed_is_told_where_the_rest_fails(registry: RunningRegistry, tmp_path: Path) -> None:
    """Exit code 8, and the document has what went; where nothing did, there is none, and the exit code says why."""
    layout = attested_layout(tmp_path / "layout", "linux/amd64")
    with debian(tmp_path / "keeping") as keeping:  # its deletes are off
        names = [f"{host}/app:1.2.3" for host in (registry.host, keeping.host)]
        for name in names:
            image = name.rpartition(":")[0]
            output_of(regkit("publish", "--from", layout, "--image", image, "--version", "1.2.3"))
        digest = output_of(peer("crane", "digest", names[0])).strip()

        partly = regkit("tag", "rm", *names, "--yes", "--format", "json")
        refused = regkit("tag", "rm", names[1], "--yes", "--format", "json")

        removed = [{"name": names[0], "digest": digest}]
        assert (partly.returncode, refused.returncode) == (8, 9), partly.stderr
        assert json.loads(partly.stdout) == {"schema": 1, "dryRun": False, "removed": removed}
        assert refused.stdout == ""
        assert "1.2.3" in keeping.tags("app")
    assert "1.2.3" not in registry.tags("app")
