"""The keys of a `[publish.NAME]`: the parameters of the command, so that a new option is a key at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from regkit.errors import UsageError

if TYPE_CHECKING:
    from regkit.config.table import Key

CALL = frozenset({"name", "dry-run", "format", "plan", "out", "detailed-exitcode"})
"""Options that say what this one call does, not what is published: no file has them."""

_SAID = "says what one call does: it is for the command line alone"
_PATHS = re.compile(r"\b(src|source|dest|tls-dir)=(?!/)([^,]+)")
_SCHEMES = ("ocidir://", "oci:", "oci-archive:", "docker-archive:")


def keys_of(command: typer.Typer) -> dict[str, Key]:
    """Give the keys of a section whose values are a command's parameters."""
    from regkit.config.table import refused

    single = [each for each in typer.main.get_command(command).params if each.nargs == 1]
    return {key_of(each): refused(_SAID) if key_of(each) in CALL else _key(each) for each in single}


def key_of(parameter: Any) -> str:
    """Give a parameter's key: its long option without the dashes; an argument's name in the help, in small letters."""
    option = next((option for option in parameter.opts if option.startswith("--")), None)
    return str(option.removeprefix("--") if option else parameter.metavar.lower())


def _key(parameter: Any) -> Key:
    from regkit.config.table import Key, Wrong

    flag, kind = getattr(parameter, "is_flag", False), parameter.type
    multiple = getattr(parameter, "multiple", False)

    def read_one(value: Any, base: Path) -> str:
        if not isinstance(value, str) or not value or "\0" in value:
            raise Wrong("a string or an array of strings" if multiple else "a string")
        whole = _rebased(parameter, value, base)
        try:
            kind.convert(whole, parameter, None)
        except typer.BadParameter as error:
            raise UsageError(error.message.rstrip(".")) from None
        return whole

    def read(value: Any, base: Path) -> Any:
        if flag:
            if not isinstance(value, bool):
                raise Wrong("true or false")
            return value
        if multiple:
            return [read_one(item, base) for item in (value if isinstance(value, list) else [value])]
        if kind.name.startswith("integer"):
            if isinstance(value, bool) or not isinstance(value, int):
                raise Wrong("a whole number")
            return value
        return read_one(value, base)

    return Key(_spelled(parameter), parameter.help or "", read)


def _spelled(parameter: Any) -> str:
    """Write for people what a key takes."""
    if getattr(parameter, "is_flag", False):
        return "true or false"
    if parameter.type.name.startswith("integer"):
        return "number"
    choices = getattr(parameter.type, "choices", ())
    said = " or ".join(f"`{choice}`" for choice in choices) or ("path" if is_path(parameter) else "string")
    return f"{said} or array" if getattr(parameter, "multiple", False) else said


def _rebased(parameter: Any, value: str, base: Path) -> str:
    """Make a path that is relative to the file a whole one, where that makes a difference."""
    if base == Path.cwd():
        return value
    if is_path(parameter):
        return str(base / value)
    if key_of(parameter) == "from":
        scheme = next((known for known in _SCHEMES if value.startswith(known)), "")
        rest = value.removeprefix(scheme)
        return f"{scheme}{base / rest}" if scheme or (base / rest).exists() else value
    return _PATHS.sub(lambda found: f"{found[1]}={base / found[2]}", value)


def is_path(parameter: Any) -> bool:
    """Tell whether a parameter takes a path."""
    return parameter.type.name in ("path", "file", "directory") or key_of(parameter) == "context"


def variables(parameter: Any) -> list[str]:
    """Give the variables that an option is read from: its own, and `REGKIT_<NAME>`."""
    named = parameter.envvar or ()
    return [*([named] if isinstance(named, str) else named), f"REGKIT_{key_of(parameter).replace('-', '_').upper()}"]
