"""What the documentation says is what happens."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest

from regkit.cli.keys import publish_keys
from regkit.config.load import SECTIONS, load_config
from tests.support.layouts import make_layout

ROOT = Path(__file__).parent.parent


def test_the_python_guides_example_runs_as_it_stands(tmp_path: Path) -> None:
    """The code of docs/guides/python.md publishes a layout and tells its platforms."""
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/guides/python.md").read_text(), re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text("\n".join(code))
    platforms = ["linux/amd64", "linux/arm64/v8"]
    make_layout(tmp_path / "layout", platforms)

    assert runpy.run_path(str(script))["release"](tmp_path / "layout") == platforms


def test_the_reference_is_what_the_commands_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`make docs` has been run since the last change of a command, or of a key of the configuration."""
    generator = runpy.run_path(str(ROOT / "docs/generate.py"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(generator["main"].__globals__, "REFERENCE", tmp_path)
    generator["main"]()

    for name in ("commands.md", "configuration.md"):
        assert (ROOT / "docs/reference" / name).read_text() == (tmp_path / name).read_text()


def test_the_configuration_guides_example_is_valid(tmp_path: Path) -> None:
    """It names every section, and each of its keys is known; the paths in it are of a project like that."""
    [example] = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/guides/configuration.md").read_text(), re.DOTALL)
    (tmp_path / "certs").mkdir()
    for name in ("certs/ca.pem", "README.md"):
        (tmp_path / name).touch()
    (tmp_path / "regkit.toml").write_text(example)

    config = load_config(tmp_path / "regkit.toml", publish_keys)

    assert [entry.name for entry in config.publish] == ["hello", "tools"]
    assert all((config.builders, config.registries, config.cleanups, config.readme))
    assert set(tomllib.loads(example)) == set(SECTIONS)


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    """Relative links in README and docs name files that are there."""
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert broken == []
