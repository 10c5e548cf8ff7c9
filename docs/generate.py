"""Write docs/reference: commands.md from the commands, configuration.md from the keys that are read, events.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import typer

from regkit.cli.app import app, publish_keys
from regkit.config import sections
from regkit.config.table import Key
from regkit.events import Event
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest

REFERENCE = Path(__file__).parent / "reference"
INTRO = "# Commands\n\nWritten by `make docs`; every option is also read from the variable that it names.\n"
CONFIGURATION = """# Keys of regkit.toml

Written by `make docs`. How they work together stands in the [guide](../guides/configuration.md).

`schema = 1` says by which rules the file is read; without it, by these.
"""

EVENTS = """# Events

Written by `make docs`. With `--progress json` each is one line on stderr, a JSON object whose `event` is the name and
whose other keys are its fields; all of them are there, in any order. New kinds of events, and new fields, may come.
A line that isn't a JSON object is text for people: the error's sentence after `Failed`, say. In Python they are the
classes of `regkit.events`, handed to a session's `report`.

A descriptor is an object as the OCI image specification has it: `mediaType`, `digest`, `size`, `platform`,
`annotations`. Sizes are in bytes.
"""
_JSON = {str: "string", Digest: "string, a digest", bool: "boolean", int: "integer", float: "number", NoneType: "null"}


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


def events() -> Iterator[str]:
    """Give every event's fields, as JSON has them."""
    for kind in get_args(Event):
        rows = [f"| `{name}` | {_json(hint)} |" for name, hint in get_type_hints(kind).items()]
        about = " ".join(str(kind.__doc__).split())
        yield "\n".join([f"## `{kind.__name__}`\n", f"{about}\n", "| field | JSON |", "|---|---|", *rows, ""])


def _json(hint: Any) -> str:
    if isinstance(hint, UnionType):
        return " or ".join(map(_json, get_args(hint)))
    if get_origin(hint) is tuple:
        return f"array of: {_json(get_args(hint)[0])}"
    return "descriptor" if hint is Descriptor else _JSON[hint]


def _escaped(key: Key) -> Key:
    return Key(key.kind, key.about.replace("|", "\\|"), key.read)


def main() -> None:
    """Write the pages."""
    REFERENCE.mkdir(exist_ok=True)
    written = {
        "commands.md": [INTRO, *pages(typer.main.get_command(app), "regkit")],
        "configuration.md": [CONFIGURATION, *configuration()],
        "events.md": [EVENTS, *events()],
    }
    for name, parts in written.items():
        (REFERENCE / name).write_text("\n".join(parts), encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    from names import main as write_names
    from schemas import main as write_schemas

    main()
    write_names()
    write_schemas()
