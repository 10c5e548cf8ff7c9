"""Write docs/reference/python.md: the public Python names, with their signatures and docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, ForwardRef

import regkit
from regkit.errors import RegkitError

REFERENCE = Path(__file__).parent / "reference"
INTRO = """# Python

Written by `make docs`. Every name is imported from `regkit` itself; how they go together stands in the
[guide](../guides/python.md). Sizes are in bytes, digests `sha256:…`, platforms `os/arch[/variant]`, all times aware of
their zone. What goes wrong is a `RegkitError`, one of those at the end.
"""
SECTIONS: dict[str, Callable[[Any], bool]] = {
    "Functions": inspect.isfunction,
    "Classes": lambda value: inspect.isclass(value) and not issubclass(value, RegkitError),
    "Types": lambda value: not inspect.isclass(value) and not inspect.isfunction(value),
    "Errors": lambda value: inspect.isclass(value) and issubclass(value, RegkitError),
}


def pages() -> Iterator[str]:
    """Give the sections, each name in its alphabetical place."""
    yield INTRO
    values = {name: getattr(regkit, name) for name in sorted(regkit.__all__) if name != "__version__"}
    for title, belongs in SECTIONS.items():
        yield f"## {title}\n"
        for name, value in values.items():
            if belongs(value):
                yield "\n".join(described(name, value))


def described(name: str, value: Any) -> Iterator[str]:
    """Give a name's heading, its signature, and what it promises."""
    yield f"### `{name}`\n"
    if inspect.isfunction(value):
        yield f"```python\n{signature(name, value)}\n```\n"
        yield f"{inspect.getdoc(value)}\n"
    elif not inspect.isclass(value):
        written = str(value) if name == "Event" else str(value).replace(str(regkit.Event), "Event")
        yield f"`{written.replace('regkit.events.', '').replace('collections.abc.', '')}`\n"
    elif issubclass(value, RegkitError):
        yield f"{inspect.getdoc(value)} Exit code {value.exit_code}.\n"
    else:
        yield f"```python\n{signature(name, value)}\n```\n"
        yield f"{inspect.getdoc(value)}\n"
        yield from members(value)


def members(kind: type) -> Iterator[str]:
    """Give what a class can do, and what it tells, a line each."""
    rows = []
    for name, member in vars(kind).items():
        target = getattr(member, "__func__", getattr(member, "fget", member))
        if name.startswith("_") or not inspect.isfunction(target):
            continue
        summary = (inspect.getdoc(target) or "").partition("\n")[0]
        written = name if isinstance(member, property) else signature(name, target, limit=1000)
        rows.append(f"- `{written}`: {summary}" if summary else f"- `{written}`")
    if rows:
        yield "\n".join([*rows, ""])


def signature(name: str, value: Any, limit: int = 100) -> str:
    """Write a signature as its source has it, a parameter a line where it's longer than `limit`."""
    found = inspect.signature(value)
    parameters = [each for each in found.parameters.values() if each.name not in ("self", "cls")]
    written: list[str] = []
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and "*" not in written:
            written.append("*")
        written.append(_parameter(each))
    gives = "" if inspect.isclass(value) or found.return_annotation is found.empty else f" -> {found.return_annotation}"
    line = f"{name}({', '.join(written)}){gives}"
    if len(line) <= limit:
        return line
    return "\n".join([f"{name}(", *(f"    {each}," for each in written), f"){gives}"])


def _parameter(parameter: inspect.Parameter) -> str:
    hint = "" if parameter.annotation is parameter.empty else f": {_hint(parameter.annotation)}"
    if parameter.default is parameter.empty:
        return f"{parameter.name}{hint}"
    return f"{parameter.name}{hint} = {_default(parameter.default)}"


def _hint(annotation: Any) -> str:
    """Write a type; a NamedTuple's hints are wrapped into references."""
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _default(value: Any) -> str:
    """Write a default; what has no literal, or is made anew each time, is told by an ellipsis."""
    if isinstance(value, dict | MappingProxyType) and not value:
        return "{}"
    plain = value is None or isinstance(value, str | int | float | tuple)
    return repr(value) if plain and type(value).__module__ == "builtins" else "…"


def main() -> None:
    """Write the page."""
    (REFERENCE / "python.md").write_text("\n".join(pages()), encoding="utf-8")
    print("wrote python.md")


if __name__ == "__main__":
    main()
