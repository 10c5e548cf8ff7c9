"""Which images a Dockerfile names: their registries are those that a builder needs logins for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from regkit.errors import UsageError
from regkit.oci.reference import Reference

_CONTINUED = re.compile(r"[\\`][ \t]*\r?\n")
_SYNTAX = re.compile(r"^#\s*syntax\s*=\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_ARG = re.compile(r"^\s*ARG\s+(\w+)=(\"[^\"\n]*\"|'[^'\n]*'|\S*)", re.IGNORECASE | re.MULTILINE)
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE | re.MULTILINE)
_OPTION = re.compile(r"(?<=[\s,=-])from=([^\s,]+)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})")


def base_images(dockerfile: str, arguments: Mapping[str, str]) -> tuple[Reference, ...]:
    """Give every image that a Dockerfile may read, as `FROM`, `COPY --from`, `RUN --mount` or `# syntax` name it.

    Variables have their values from `arguments`, else their defaults. Rather one too many than one too few: what is
    a name of nothing is harmless, it's asked for by nobody.
    """
    text = _CONTINUED.sub(" ", dockerfile)
    values = {**{name: value.strip("\"'") for name, value in _ARG.findall(text)}, **arguments}
    stages = {stage.lower() for _, stage in _FROM.findall(text)}
    found: dict[Reference, None] = {}
    for name in _names(text, arguments):
        image = _expand(name, values)
        if image.lower() in stages or image == "scratch" or image.isdecimal():
            continue
        try:
            found[Reference.parse(image)] = None
        except UsageError:
            continue  # BuildKit says what is wrong with it
    return tuple(found)


def _names(text: str, arguments: Mapping[str, str]) -> Iterator[str]:
    if given := arguments.get("BUILDKIT_SYNTAX"):
        yield given
    yield from _SYNTAX.findall(text)
    yield from (image for image, _ in _FROM.findall(text))
    yield from _OPTION.findall(text)


def _expand(name: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        plain, braced, default = match.groups()
        return values.get(plain or braced) or default or ""

    for _ in range(5):  # a default may name another variable
        name = _VARIABLE.sub(value, name)
    return name.strip("\"'")
