"""A configuration, from its file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from regkit.config.find import PYPROJECT, read_file
from regkit.config.sections import read_builders, read_cleanups, read_readme, read_registries
from regkit.config.spec import Config, PublishConfig
from regkit.config.table import Document, Key
from regkit.errors import UsageError

SCHEMA = 1
SECTIONS = ("schema", "publish", "builders", "registry", "cleanup", "readme")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def load_config(path: Path, publish_keys: Callable[[], Mapping[str, Key]]) -> Config:
    """Read and check a whole file; raise UsageError, with file and line, for anything in it that isn't known.

    `publish_keys` gives the keys of `[publish.NAME]`; it is asked where the file has one.
    """
    text = read_file(path)
    try:
        read = tomllib.loads(text)
    except ValueError as error:  # a TOMLDecodeError, or a number of too many digits
        raise _not_toml(path, text, error) from None
    except RecursionError:
        raise UsageError(f"{path} nests deeper than any configuration does") from None
    document = Document(path, text)
    if path.name == PYPROJECT:
        document = Document(path, text, ("tool", "regkit"))
        tools = read.get("tool")
        if not isinstance(tools, dict) or "regkit" not in tools:
            raise UsageError(f"{path} has no [tool.regkit]", hint="name another configuration with --config")
        read = document.table(tools["regkit"], hint="write [tool.regkit]")
    for name in read:
        if name not in SECTIONS:
            raise document.unknown(name, dict.fromkeys(SECTIONS))
    schema = read.get("schema", SCHEMA)
    if schema != SCHEMA or isinstance(schema, bool):
        said = f"schema is {schema!r}, and only {SCHEMA} is known"
        raise document.error(("schema",), said, f"write schema = {SCHEMA}, or use a regkit that knows this one")
    publish = _read_publish(document, read["publish"], publish_keys()) if "publish" in read else ()
    return Config(
        path,
        publish,
        read_builders(document, read.get("builders", {})),
        read_registries(document, read.get("registry", {})),
        read_cleanups(document, read.get("cleanup", {})),
        read_readme(document, read["readme"]) if "readme" in read else None,
        document,
    )


def _read_publish(document: Document, value: Any, keys: Mapping[str, Key]) -> tuple[PublishConfig, ...]:
    hint = "write [publish.NAME], as [publish.hello]"
    found = []
    for name, entry in document.table(value, "publish", hint=hint).items():
        here = ("publish", name)
        table = document.table(entry, *here, hint=hint)
        if not _NAME.fullmatch(name):
            raise document.error(here, f"{name!r} can't be a name", "use letters, digits, '.', '_' and '-'")
        values = document.read(table, keys, *here)
        found.append(PublishConfig(name, values))
    return tuple(found)


def _not_toml(path: Path, text: str, error: ValueError) -> UsageError:
    """Bring tomllib's `… (at line 3, column 5)` into the form of all our errors."""
    said, _, place = str(error).rpartition(" (at ")
    found = re.search(r"line (\d+)", place)
    line = int(found[1]) if found else text.rstrip("\n").count("\n") + 1
    reason = said or str(error)
    return UsageError(f"{path}:{line}: this isn't TOML: {reason[:1].lower()}{reason[1:200]}")
