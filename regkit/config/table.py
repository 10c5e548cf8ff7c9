"""Tables of a TOML file, read by what each key takes; what is wrong is told with file and line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regkit.config.lines import line_of
from regkit.errors import RegkitError, UsageError


class Wrong(Exception):
    """A value that a key doesn't take; the text says what it takes, as "a whole number"."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a key takes (`kind`, for people), what it means, and how it is read.

    `read` gets the value and the file's directory; it raises Wrong, or a RegkitError that says it better.
    """

    kind: str
    about: str
    read: Callable[[Any, Path], Any]


def refused(reason: str) -> Key:
    """Make a key that is known, and takes nothing; it has no kind, and is never proposed."""

    def read(_value: Any, _base: Path) -> Any:
        raise UsageError(reason)

    return Key("", "", read)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's text, and where in it the tables of ours begin: nowhere deeper, or under `tool.regkit`."""

    path: Path
    text: str
    root: tuple[str, ...] = ()

    def line(self, *keys: str) -> int:
        """Give the line on which a key stands."""
        return line_of(self.text, (*self.root, *keys))

    def error(self, keys: tuple[str, ...], message: str, hint: str | None = None) -> UsageError:
        """Make the error for what a key says."""
        return UsageError(f"{self.path}:{self.line(*keys)}: {message}", hint=hint)

    def table(self, value: Any, *keys: str, hint: str) -> dict[str, Any]:
        """Give the table that a value has to be."""
        if not isinstance(value, dict):
            raise self.error(keys, f"{dotted((*self.root, *keys))} isn't a table", hint)
        return value

    def read(self, table: Mapping[str, Any], keys: Mapping[str, Key], *path: str) -> dict[str, Any]:
        """Read a table's keys; raise UsageError for one that isn't known, or takes something else."""
        read: dict[str, Any] = {}
        for name, value in table.items():
            if name not in keys:
                raise self.unknown(name, {known: key for known, key in keys.items() if key.kind}, *path)
            try:
                read[name] = keys[name].read(value, self.path.absolute().parent)
            except Wrong as wrong:
                said = f"{dotted((*path, name))} takes {wrong}, not {_spelled(value)}"
                raise self.error((*path, name), said) from None
            except RegkitError as error:
                raise self.error((*path, name), f"{dotted((*path, name))}: {error.message}", error.hint) from None
        return read

    def unknown(self, name: str, known: Mapping[str, Any], *path: str) -> UsageError:
        """Make the error for a key that isn't known, with the one that may be meant."""
        from difflib import get_close_matches

        close = get_close_matches(name.replace("_", "-").lower(), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        place = f"[{dotted((*self.root, *path))}]" if (*self.root, *path) else "the file"
        return self.error((*path, name), f"{place} has an unknown key {name!r}", hint)


def dotted(keys: tuple[str, ...]) -> str:
    """Write a key's name as TOML has it: `registry."ghcr.io".mirror`."""
    return ".".join(key if _is_bare(key) else f'"{key}"' for key in keys)


def _is_bare(key: str) -> bool:
    return key.isascii() and key.replace("-", "").replace("_", "").isalnum()


def _spelled(value: Any) -> str:
    """Write a value shortly, for an error."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "an array"
    text = repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
