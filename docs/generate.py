"""Write docs/reference/commands.md from the commands themselves, and configuration.md from the keys that are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from regkit.cli.app import app
from regkit.cli.keys import publish_keys
from regkit.config import sections
from regkit.config.table import Key

REFERENCE = Path(__file__).parent / "reference"
INTRO = "# Commands\n\nWritten by `make docs`; every option is also read from the variable that it names.\n"
CONFIGURATION = """# Keys of regkit.toml

Written by `make docs`. How they work together stands in the [guide](../guides/configuration.md).

`schema = 1` says by which rules the file is read; without it, by these.
"""


def pages(command: Any, name: str, parent: Any = None) -> Iterator[str]:
    """Give the help of a command and of all below it."""
    context = command.context_class(command, info_name=name, parent=parent, terminal_width=100, max_content_width=100)
    title = context.command_path
    yield f"## `{title}`\n\n```text\n{context.get_help()}\n```\n"
    for below in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from pages(command.get_command(context, below), below, context)


def table(title: str, keys: Mapping[str, Key]) -> str:
    """Give a section's keys as a table; what only a command line says isn't among them."""
    rows = [f"| `{name}` | {key.kind} | {key.about} |" for name, key in keys.items() if key.kind]
    return "\n".join([f"## `{title}`\n", "| key | takes | meaning |", "|---|---|---|", *rows, ""])


def configuration() -> Iterator[str]:
    """Give the tables of all sections."""
    yield table("[publish.NAME]", {name: _escaped(key) for name, key in publish_keys().items()})
    yield table("[builders]", {f'"PLATFORM".{name}': key for name, key in sections.BUILDER.items()})
    yield table('[registry."HOST"]', sections.REGISTRY)
    yield table("[cleanup.NAME]", sections.CLEANUP)
    yield table("[readme]", sections.README)


def _escaped(key: Key) -> Key:
    return Key(key.kind, key.about.replace("|", "\\|"), key.read)


def main() -> None:
    """Write the pages."""
    REFERENCE.mkdir(exist_ok=True)
    written = {
        "commands.md": [INTRO, *pages(typer.main.get_command(app), "regkit")],
        "configuration.md": [CONFIGURATION, *configuration()],
    }
    for name, parts in written.items():
        (REFERENCE / name).write_text("\n".join(parts), encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
