"""What is seen of this machine."""

from __future__ import annotations

from regkit.build.machine import TOOLS, examine


def test_examining_changes_nothing_and_finds_the_tools(env: dict[str, str]) -> None:
    """The tools are those on PATH."""
    assert set(examine(env).tools) >= set(TOOLS)
