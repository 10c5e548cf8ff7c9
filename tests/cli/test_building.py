"""What is for a build, where nothing is built."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from regkit.cli.building import read_building
from tests.ops.support import Served
from tests.support.command import fails, output_of, regkit
from tests.support.layouts import make_layout

TYPED = {
    "file": "--file=Dockerfile",
    "target": "--target=app",
    "build_arg": "--build-arg=A=1",
    "secret": "--secret=id=key,env=HOME",
    "cache_from": "--cache-from=type=gha",
    "cache_to": "--cache-to=type=gha",
    "attest": "--attest=type=sbom",
    "provenance": "--provenance=true",
    "sbom": "--sbom=true",
    "builder": "--builder=*=tcp://127.0.0.1:1",
    "preflight": "--no-preflight",
}
LOOKING = {"test", "test_platform"}
"""What is for images that are built already, too."""


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    make_layout(tmp_path / "layout", ("linux/amd64",))
    return tmp_path / "layout"


def test_every_option_is_here() -> None:
    assert {*TYPED, *LOOKING, "ctx"} == {*inspect.signature(read_building).parameters}


@pytest.mark.parametrize("option", [*TYPED.values(), "--rebuild"])
def test_what_is_for_a_build_is_refused(layout: Path, option: str) -> None:
    """Exit code 2, before any registry is asked."""
    said = fails("publish", "--from", str(layout), "--image", "localhost:1/app", "--version", "1.2.3", option, code=2)

    name = option.partition("=")[0].replace("--no-", "--")
    assert f"what --from names is built already, so {name} can't be given, too" in said


def test_what_nobody_typed_is_passed_over(served: Served, layout: Path, tmp_path: Path) -> None:
    """A project says in its configuration, and a CI in its variables, how it is built; its release is published."""
    (tmp_path / "regkit.toml").write_text(
        f'[publish.app]\nimage = "{served.host}/app"\nfile = "missing"\ntarget = "app"\nbuild-arg = "A=1"\n'
        'secret = "id=key,env=NOT_SET"\ncache-from = "type=registry,ref=x/y"\nsbom = "true"\nrebuild = true\n'
        "preflight = false\n"
    )
    env = {"REGKIT_BUILDER": "nonsense", "REGKIT_CACHE_TO": "nonsense", "REGKIT_ATTEST": "nonsense"}

    output_of(regkit("publish", "--from", layout, "--version", "1.2.3", cwd=tmp_path, env=env))

    assert "1.2.3" in served.tags("app")


def test_a_test_has_its_builder(layout: Path) -> None:
    """A test runs in what is built already, too, and so a builder is for it: one that can't be is looked at."""
    asked = ("publish", "--from", str(layout), "--image", "localhost:1/app", "--version", "1.2.3", "--builder", "foo")

    assert "not a builder: 'foo'" in fails(*asked, "--test", "true", code=2)
