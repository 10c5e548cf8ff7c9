"""A Dockerfile's instructions, as far as it takes to know which images it reads.

The rules of this file are those of BuildKit's parser: directives stand above all else; comments are dropped, also
between continued lines; the text of a heredoc is none of the Dockerfile's own. What is wrong in one is left to BuildKit
to say: nothing here raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from regkit.errors import UsageError
from regkit.files import open_regular
from regkit.protocol.flow import read_bounded

# No text can be read in two ways: a line that somebody made for that would take for ever.
_DIRECTIVE = re.compile(r"([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+)")
_DIRECTIVES = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]")
_DEPTH = 20
_LONGEST = 1024
"""How long a value may be, in characters: images and platforms are shorter, and arguments can double each other."""
MAX_SIZE = 4 * 1024 * 1024
"""How large a file may be, in bytes."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its name in capitals, its flags without quotes, and the rest of its line."""

    name: str
    flags: tuple[str, ...]
    rest: str


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """What a file says: the image that reads it, if it names one, the escape character, and the instructions."""

    syntax: str
    escape: str
    instructions: tuple[Instruction, ...]

    @classmethod
    def parse(cls, text: str) -> Dockerfile:
        """Read a file's text."""
        lines = text.removeprefix("\ufeff").splitlines()
        bare = lines[1:] if lines and lines[0].startswith("#!") else lines
        said = _directives(bare, "#")
        syntax = said.get("syntax") or _directives(bare, "//").get("syntax", "")
        escape = said["escape"] if said.get("escape") in ("\\", "`") else "\\"
        return cls(syntax.partition(" ")[0], escape, tuple(_instructions(lines, escape)))


def read_dockerfile(path: Path) -> bytes:
    """Read a Dockerfile's bytes; raise UsageError where that can't be done."""
    try:
        with open_regular(path) as file:
            data = read_bounded(file, MAX_SIZE)
    except OSError as error:
        raise UsageError(f"the Dockerfile {path} can't be read: {error.strerror}") from None
    if data is None:
        raise UsageError(f"the Dockerfile {path} is larger than {MAX_SIZE} bytes")
    return data


def words(text: str, escape: str) -> tuple[str, ...]:
    """Part a text at its spaces, but not within quotes; these stay."""
    return tuple(re.findall(_word(escape), text))


def expand(text: str, values: Mapping[str, str], escape: str, depth: int = _DEPTH) -> str | None:
    """Give a word with its quotes removed and its variables replaced; None for what isn't understood, or too long.

    `$A`, `${A}` and the forms with `-`, `+` and `?`, with a colon or without (docs.docker.com, Dockerfile reference,
    Environment replacement).
    """
    if depth == 0:
        return None
    out, quote, at = "", "", 0
    while at < len(text) and len(out) <= _LONGEST:
        char = text[at]
        if char == escape and quote != "'" and at + 1 < len(text):
            out, at = out + text[at + 1], at + 2
        elif char in "\"'" and quote in ("", char):
            quote, at = ("" if quote else char), at + 1
        elif char == "$" and quote != "'":
            found = _variable(text, at, values, escape, depth)
            if found is None:
                return None
            value, at = found
            out += value
        else:
            out, at = out + char, at + 1
    return None if quote or len(out) > _LONGEST else out


def _variable(text: str, at: int, values: Mapping[str, str], escape: str, depth: int) -> tuple[str, int] | None:
    """Give the value of the variable that begins at a `$`, and where the text goes on behind it."""
    braced = text[at + 1 : at + 2] == "{"
    name = _NAME.match(text, at + 1 + braced)
    if name is None:
        return None if braced else ("$", at + 1)
    if not braced:
        return values.get(name[0], ""), name.end()
    end = _closing(text, name.end())
    if end is None:
        return None
    form = re.fullmatch(r"(:?)([-+?])(.*)", text[name.end() : end], re.DOTALL)
    value = values.get(name[0])
    if form is None:
        return (value or "", end + 1) if end == name.end() else None
    there = bool(value) if form[1] else value is not None
    if form[2] == "?":
        return (value or "", end + 1) if there else None
    if there is (form[2] == "-"):
        return (value or "") if form[2] == "-" else "", end + 1
    other = expand(form[3], values, escape, depth - 1)
    return None if other is None else (other, end + 1)


def _closing(text: str, at: int) -> int | None:
    depth = 1
    for position in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return None


def _directives(lines: list[str], comment: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        match = _DIRECTIVE.fullmatch(line.removeprefix(comment).strip()) if line.startswith(comment) else None
        if match is None or match[1].lower() not in _DIRECTIVES or match[1].lower() in found:
            break
        found[match[1].lower()] = match[2]
    return found


def _instructions(lines: list[str], escape: str) -> Iterator[Instruction]:
    mark = re.escape(escape)
    continued = re.compile(rf"(?:^|(?<!{mark})){mark}[ \t]*$")
    rest = iter(lines)
    whole = ""
    for line in rest:
        if line.lstrip().startswith("#") or (whole and not line.strip()):
            continue
        whole += continued.sub("", line)
        if continued.search(line):
            continue
        if whole.strip():
            instruction = _instruction(whole.strip(), escape)
            yield instruction
            for name, chomped in _heredocs(instruction, escape):
                for text in rest:
                    if (text.lstrip("\t") if chomped else text) == name:
                        break
        whole = ""
    if whole.strip():
        yield _instruction(whole.strip(), escape)


def _instruction(line: str, escape: str) -> Instruction:
    name, *following = line.split(maxsplit=1)
    flags: list[str] = []
    rest = following[0] if following else ""
    while rest.startswith("--"):
        match = re.match(_word(escape), rest)
        if match is None:
            break
        flags.append(_unquote(match[0], escape))
        rest = rest[match.end() :].lstrip()
    return Instruction(name.upper(), tuple(flags), rest)


def _heredocs(instruction: Instruction, escape: str) -> Iterator[tuple[str, bool]]:
    """Give the ends of the heredocs that a line opens, and whether tabs before them don't count."""
    if instruction.name == "ONBUILD":
        instruction = _instruction(instruction.rest, escape)
    if instruction.name not in _WITH_HEREDOCS or "<<" not in instruction.rest or _is_json(instruction.rest):
        return
    for word in words(instruction.rest, escape):
        match = _HEREDOC.fullmatch(word)
        if match is not None and (name := _unquote(match[2], escape)):
            yield name, bool(match[1])


def _is_json(text: str) -> bool:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, list) and all(isinstance(item, str) for item in found)


def _unquote(word: str, escape: str) -> str:
    """Take quotes and escapes away; a variable stays as it is written."""
    mark = re.escape(escape)
    return re.sub(rf"\"((?:{mark}.|[^\"{mark}])*)\"|'([^']*)'|{mark}(.)", lambda m: m[1] or m[2] or m[3] or "", word)


def _word(escape: str) -> str:
    mark = re.escape(escape)
    return rf"(?:\"(?:{mark}.|[^\"{mark}])*\"|'[^']*'|{mark}.|[^\s])+"
