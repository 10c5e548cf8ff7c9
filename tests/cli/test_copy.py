"""`regkit copy` as users run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regkit.targets.layout import Layout
from tests.ops.support import Served, attested_layout
from tests.support.command import fails, output_of, regkit


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return attested_layout(tmp_path_factory.mktemp("built"), "linux/amd64", "linux/arm64")


def test_stdout_is_the_name_to_pull_by(built: Path, served: Served, tmp_path: Path) -> None:
    """One line, for a registry and for a layout; what happens goes to stderr."""
    digest = Layout(built).roots[0].digest

    done = regkit("copy", f"ocidir://{built}:built", f"{served.host}/team/hello:1")
    back = regkit("copy", f"{served.host}/team/hello:1", f"oci:{tmp_path}/copy:1")

    assert output_of(done) == f"{served.host}/team/hello@{digest}\n"
    assert f"tagged 1 -> {digest.short}" in done.stderr
    assert output_of(back) == f"ocidir://{tmp_path}/copy@{digest}\n"


def test_all_tags_have_a_line_each(built: Path, served: Served) -> None:
    """A mirror's lines name the tags."""
    digest = Layout(built).roots[0].digest
    for tag in ("1", "2"):
        output_of(regkit("copy", f"oci:{built}", f"{served.host}/a:{tag}"))

    shown = output_of(regkit("copy", "--all-tags", f"{served.host}/a", f"{served.host}/b"))

    assert shown.splitlines() == [f"{served.host}/b:{tag}@{digest}" for tag in ("1", "2")]


def test_match_chooses_among_all_tags(built: Path, served: Served) -> None:
    """As cleanup's --match does, also from its own variable; alone, or where nothing matches, it copies nothing."""
    for tag in ("1", "1.2", "pr-1"):
        output_of(regkit("copy", f"oci:{built}", f"{served.host}/a:{tag}"))
    there = f"{served.host}/b"
    command = ("copy", "--all-tags", f"{served.host}/a", there)

    shown = output_of(regkit(*command, "--dry-run", env={"REGKIT_COPY_MATCH": "pr-.*"})).splitlines()
    assert [line.split()[1] for line in shown if line.startswith("tag ")] == ["pr-1"]
    assert output_of(regkit(*command, "--match", "pr-.*")).startswith(f"{there}@sha256:")
    assert list(served.tags("b")) == ["pr-1"]
    written = list(served.writes)

    assert "hint: add --all-tags" in fails("copy", f"{served.host}/a:1", there, "--match", "1", code=2)
    assert "has no tag that matches 'pr'" in fails(*command, "--match", "pr", code=5)
    assert served.writes == written


@pytest.mark.parametrize("expression", ["(", " "])
def test_a_match_that_is_none_is_told_as_cleanup_tells_it(served: Served, expression: str) -> None:
    """The same sentence and the same hint."""
    copied = fails("copy", "-a", f"{served.host}/a", f"{served.host}/b", "--match", expression, code=2)

    assert copied == fails("cleanup", "plan", f"{served.host}/a", "--keep", "0", "--match", expression, code=2)


def test_json_says_what_became_of_each_tag(built: Path, served: Served) -> None:
    """One document with a schema: the tags, and the content that wasn't there."""
    arguments = ("copy", f"oci:{built}", f"{served.host}/a:1", "--platform", "linux/arm64", "--format", "json")

    first, second = (json.loads(output_of(regkit(*arguments))) for _ in range(2))

    assert first["schema"] == 1
    assert first["destination"] == f"{served.host}/a"
    assert [(tag["tag"], tag["kept"]) for tag in first["tags"]] == [("1", None)]
    assert (len(first["manifests"]), len(first["blobs"])) == (3, 4)
    assert second["tags"][0]["kept"] == "it stands there already"
    assert (second["manifests"], second["blobs"], second["dryRun"]) == ([], [], False)


def test_dry_run_prints_what_would_be_copied(built: Path, served: Served) -> None:
    """Blobs, manifests with their platforms, and what becomes of the tags; nothing is written."""
    digest = Layout(built).roots[0].digest
    shown = output_of(regkit("copy", "--dry-run", f"oci:{built}", f"{served.host}/a:1")).splitlines()

    assert served.writes == []
    assert [line.split()[0] for line in shown] == ["blob"] * 7 + ["manifest"] * 5 + ["tag"]
    assert shown[-1] == f"tag       1 -> {digest}"
    assert any(line.startswith("manifest  sha256:") and line.endswith("  linux/arm64") for line in shown)

    output_of(regkit("copy", f"oci:{built}", f"{served.host}/a:1"))
    again = output_of(regkit("copy", "--dry-run", f"oci:{built}", f"{served.host}/a:1"))
    assert again == "keep      1: it stands there already\n"


def test_no_clobber_is_said_on_stderr(built: Path, served: Served, tmp_path: Path) -> None:
    """What stands at the destination is the result, and why it stays is said."""
    other = attested_layout(tmp_path, "linux/amd64", content="other")
    standing = output_of(regkit("copy", f"oci:{other}", f"{served.host}/a:1"))

    done = regkit("copy", "--no-clobber", f"oci:{built}", f"{served.host}/a:1")

    assert output_of(done) == standing
    assert "kept 1: it stands on sha256:" in done.stderr


def test_exit_codes(built: Path, served: Served) -> None:
    """Wrong usage is 2, what is not there 5; each says what and where, and nothing is written."""
    assert "not a platform" in fails("copy", f"oci:{built}", f"{served.host}/a:1", "--platform", "x", code=2)
    assert "all tags are to be copied" in fails("copy", "-a", f"oci:{built}:built", f"{served.host}/a", code=2)
    assert "can't read 1 in a" in fails("copy", f"{served.host}/a:1", f"{served.host}/b:1", code=5)
    said = fails("copy", f"oci:{built}", f"{served.host}/a:1", "--platform", "linux/s390x", code=5)
    assert "hint: it has: linux/amd64, linux/arm64" in said
    assert served.writes == []
