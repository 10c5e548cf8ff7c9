"""Recipes of the guides: read from their Markdown, and run as the CI system would, with its variables and no others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.command import LIMIT, clean_environment

GUIDES = Path(__file__).parent.parent.parent / "docs" / "guides"
INSTALLERS = ("curl", "docker", "pip", "sudo")
"""What brings tools to a machine isn't run: its arguments are kept."""


def blocks(guide: str, language: str) -> list[str]:
    """Give a guide's code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", (GUIDES / guide).read_text(), re.DOTALL)


def documents(guide: str) -> list[dict[Any, Any]]:
    """Give a guide's YAML, parsed."""
    return [yaml.safe_load(block) for block in blocks(guide, "yaml")]


@dataclass
class Job:
    """A machine on which a job runs: its home, its checkout, what it has from the CI; `moved` are hosts, elsewhere."""

    home: Path
    checkout: Path
    env: dict[str, str]
    moved: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put what would install something on the PATH, as something that doesn't."""
        bin_directory = self.home / "installers"
        bin_directory.mkdir(parents=True)
        for name in INSTALLERS:
            program = bin_directory / name
            program.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> "{self.home}/installed"\n')
            program.chmod(0o755)
        tar = bin_directory / "tar"  # at the end of a pipe from curl
        tar.write_text(f'#!/bin/sh\ncat > /dev/null\nprintf "%s\\n" "tar $*" >> "{self.home}/installed"\n')
        tar.chmod(0o755)
        ours = Path(sys.executable).parent
        self._path = os.pathsep.join([str(bin_directory), str(ours), os.environ["PATH"]])

    def run(self, script: str, *shell: str, env: Mapping[str, str] | None = None) -> str:
        """Run a script; an AssertionError with all it said where it fails. Give what it wrote to stdout."""
        given = {**self.env, **(env or {}), "PATH": self._path}
        done = subprocess.run(
            [*(shell or ("bash", "-e", "-c")), self._here(script)],
            env=clean_environment(self.home, {name: self._here(value) for name, value in given.items()}),
            cwd=self.checkout,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @property
    def installed(self) -> list[str]:
        """What was to be installed, a command a line."""
        return (self.home / "installed").read_text().splitlines()

    def _here(self, text: str) -> str:
        for name, host in self.moved.items():
            text = text.replace(name, host)
        return text
