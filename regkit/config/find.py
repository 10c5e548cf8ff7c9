"""Which file configures a run: the one that is named, else the nearest one of the project."""

from __future__ import annotations

import os
from pathlib import Path

from regkit.errors import UsageError

FILE = "regkit.toml"
PYPROJECT = "pyproject.toml"
MAX_SIZE = 1024 * 1024
"""How large a configuration may be, in bytes."""


def find_config(directory: Path) -> Path | None:
    """Give the nearest `regkit.toml`, or `pyproject.toml` with a `[tool.regkit]`, from `directory` up.

    The search ends with the root of the git repository; outside of one only `directory` itself is looked at: what
    lies above it, in /tmp say, is anybody's.
    """
    here = directory.absolute()
    above = [here, *here.parents]
    root = next((number for number, parent in enumerate(above) if (parent / ".git").exists()), 0)
    for parent in above[: root + 1]:
        if (parent / FILE).is_file():
            return parent / FILE
        project = parent / PYPROJECT
        if project.is_file() and _is_meant(project):
            return project
    return None


def project_of(file: Path) -> Path:
    """Give the directory of the project that a file is in: the root of its git repository, else the file's own."""
    here = Path(os.path.normpath(file.absolute())).parent  # `..` counts as it is written, and no link is followed
    return next((parent for parent in (here, *here.parents) if (parent / ".git").exists()), here)


def read_file(path: Path) -> str:
    """Read a configuration's text; raise UsageError where that can't be done."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise UsageError(
            f"the configuration {path} can't be read: {error.strerror}", hint="name another one with --config"
        ) from None
    if len(data) > MAX_SIZE:
        raise UsageError(f"the configuration {path} is larger than {MAX_SIZE} bytes")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: this isn't UTF-8") from None


def _is_meant(project: Path) -> bool:
    """Tell whether a pyproject.toml speaks of us: only then it is read as TOML, and its mistakes are ours to tell."""
    text = read_file(project)
    if "regkit" not in text:
        return False
    import tomllib

    try:
        tools = tomllib.loads(text).get("tool")
    except (ValueError, RecursionError):
        return "[tool.regkit" in text
    return isinstance(tools, dict) and "regkit" in tools
