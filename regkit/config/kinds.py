"""What the values of a configuration may be, and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from regkit.config.table import Wrong
from regkit.errors import UsageError
from regkit.oci.reference import Reference, is_loopback

T = TypeVar("T")
Read = Callable[[Any, Path], T]

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"([1-9][0-9]{0,5})([mhdw])")


def boolean(value: Any, _base: Path) -> bool:
    """Take `true` or `false`."""
    if not isinstance(value, bool):
        raise Wrong("true or false")
    return value


def text(value: Any, _base: Path) -> str:
    """Take a string that says something."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise Wrong("a string")
    return value


def texts(value: Any, base: Path) -> tuple[str, ...]:
    """Take a string, or an array of strings."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) and item.strip() for item in values):
        raise Wrong("a string or an array of strings")
    return tuple(text(item, base) for item in values)


def path(value: Any, base: Path) -> Path:
    """Take a path, relative to the file's directory."""
    return base / text(value, base)


def existing_file(value: Any, base: Path) -> Path:
    """Take the path of a file that is there."""
    found = path(value, base)
    if not found.is_file():
        raise UsageError(f"there is no file {found}", hint="a path is relative to the configuration's directory")
    return found


def existing_directory(value: Any, base: Path) -> Path:
    """Take the path of a directory that is there."""
    found = path(value, base)
    if not found.is_dir():
        raise UsageError(f"there is no directory {found}", hint="a path is relative to the configuration's directory")
    return found


def whole(least: int) -> Read[int]:
    """Take a whole number from `least` on."""

    def read(value: Any, _base: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise Wrong(f"a whole number from {least} on")
        return value

    return read


def rate(value: Any, _base: Path) -> float:
    """Take a number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise Wrong("a number above 0")
    return float(value)


def choice(choices: Iterable[str]) -> Read[str]:
    """Take one of some strings."""
    known = tuple(choices)

    def read(value: Any, _base: Path) -> str:
        if value not in known:
            raise Wrong("one of " + ", ".join(map(repr, known)))
        return str(value)

    return read


def age(value: Any, base: Path) -> timedelta:
    """Take a time as `30d`: a whole number of minutes, hours, days or weeks."""
    found = _AGE.fullmatch(text(value, base))
    if found is None:
        raise Wrong("a time as '90m', '12h', '30d' or '8w'")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def expression(value: Any, base: Path) -> str:
    """Take a regular expression."""
    try:
        re.compile(text(value, base))
    except re.error as error:
        raise UsageError(f"not a regular expression: {error}") from None
    return str(value)


def images(value: Any, base: Path) -> tuple[str, ...]:
    """Take repositories; give their full names."""
    return tuple(Reference.parse_name(name).name for name in texts(value, base))


def host(value: Any, base: Path) -> str:
    """Take a registry as `host[:port]`; give its normal form."""
    name = text(value, base)
    hint = 'write host or host:port, as "ghcr.io"'
    try:
        reference = Reference.parse(f"{name.lower()}/x/y")
    except UsageError:
        raise UsageError(f"not a registry's host: {_without_login(name)!r}", hint=hint) from None
    if reference.repository != "x/y":
        raise UsageError(f"not a registry's host: {_without_login(name)!r}", hint=hint)
    return reference.registry


def mirrors(value: Any, base: Path) -> tuple[str, ...]:
    """Take mirrors, each `host[:port][/prefix]`; give their normal form."""
    found = []
    for name in texts(value, base):
        first, slash, prefix = name.partition("/")
        if slash:
            Reference.parse(f"{host(first, base)}/{prefix}/x")
        found.append(f"{host(first, base)}{slash}{prefix}")
    return tuple(found)


def url(value: Any, base: Path) -> str:
    """Take an address in https; in http only of this machine."""
    name = text(value, base)
    try:
        parts = urlsplit(name)
        usable = parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        usable = None
    secure = usable and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.netloc)))
    if not secure:
        raise Wrong("an address that begins with https://")
    return name.rstrip("/")


def _without_login(name: str) -> str:
    login, at, rest = name.rpartition("@")
    return f"…@{rest}" if at and ":" in login else name
