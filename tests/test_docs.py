"""What the documentation says is what happens."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

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
    """`make docs` has been run since the last change of a command."""
    generator = runpy.run_path(str(ROOT / "docs/generate.py"))
    fresh = tmp_path / "commands.md"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(generator["main"].__globals__, "TARGET", fresh)
    generator["main"]()

    assert (ROOT / "docs/reference/commands.md").read_text() == fresh.read_text()


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    """Relative links in README and docs name files that are there."""
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert broken == []
