"""Write docs/reference/commands.md from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from regkit.cli.app import app

TARGET = Path(__file__).parent / "reference" / "commands.md"


def pages(command: Any, name: str, parent: Any = None) -> Iterator[str]:
    """Give the help of a command and of all below it."""
    context = command.context_class(command, info_name=name, parent=parent, terminal_width=100, max_content_width=100)
    title = context.command_path
    yield f"## `{title}`\n\n```text\n{context.get_help()}\n```\n"
    for below in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from pages(command.get_command(context, below), below, context)


def main() -> None:
    """Write the page."""
    TARGET.parent.mkdir(exist_ok=True)
    intro = "# Commands\n\nWritten by `make docs`; every option is also read from the variable that it names.\n"
    TARGET.write_text("\n".join([intro, *pages(typer.main.get_command(app), "regkit")]), encoding="utf-8")
    print(f"wrote {TARGET.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
