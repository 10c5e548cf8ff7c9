"""What the documentation says is what happens."""

from __future__ import annotations

import re
import runpy
import socket
import subprocess
import tomllib
from pathlib import Path

import pytest

import regkit
from regkit.cli.app import publish_keys
from regkit.config.load import SECTIONS, load_config
from tests.support.command import clean_environment
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
    """`make docs` has been run since the last change of a command, of an event, or of a key of the configuration."""
    generator = runpy.run_path(str(ROOT / "docs/generate.py"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(generator["main"].__globals__, "REFERENCE", tmp_path)
    generator["main"]()

    for name in ("commands.md", "configuration.md", "events.md"):
        assert (ROOT / "docs/reference" / name).read_text() == (tmp_path / name).read_text()


def test_the_reference_is_what_the_public_names_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`make docs` has been run since the last change of a public name, of its signature, or of its docstring."""
    generator = runpy.run_path(str(ROOT / "docs/names.py"))
    monkeypatch.setitem(generator["main"].__globals__, "REFERENCE", tmp_path)
    generator["main"]()

    written = (tmp_path / "python.md").read_text()
    assert (ROOT / "docs/reference/python.md").read_text() == written
    assert all(f"### `{name}`" in written for name in regkit.__all__ if name != "__version__")


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


def test_the_registry_guides_two_lines_run_as_they_stand(tmp_path: Path) -> None:
    """They start a registry and push to it; only the port is another one, since that of the guide may be taken."""
    guide = (ROOT / "docs/guides/registry.md").read_text()
    code = re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)[0]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    index = make_layout(tmp_path / "layout", tag="1.2")
    script = f"{code.replace('5000', port)}\nregkit resolve 127.0.0.1:{port}/team/app:1.2\nkill $!\nwait $!\n"
    assert len(code.splitlines()) == 2

    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert f"listening on http://127.0.0.1:{port}\n" in done.stdout, done.stderr
    assert done.stdout.endswith(f"127.0.0.1:{port}/team/app@{index.digest}\n"), done.stderr
    assert done.returncode == 0, done.stderr


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    """Relative links in README and docs name files that are there."""
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert broken == []
