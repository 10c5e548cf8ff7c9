"""`.dockerignore`: which paths of a context BuildKit leaves out.

The same decisions as moby/patternmatcher and fsutil's walk take, their oddities included: each pattern becomes
the regular expression that Go's code makes of it. Where a pattern can't be followed it leaves nothing out.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from regkit.errors import UsageError

_ESCAPED = frozenset(".+()|{}$")
_GO_CLASSES = frozenset("dDsSwW")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line: the paths that it matches, and whether it takes them back in (`!`)."""

    text: str
    expression: re.Pattern[str]
    exception: bool

    def matches(self, path: str) -> bool:
        """Match the whole path, not its parents."""
        return self.expression.fullmatch(path) is not None


@dataclass(frozen=True, slots=True)
class Ignore:
    """An ignore file's patterns, in order; the last that matches decides."""

    patterns: tuple[Pattern, ...] = ()

    @property
    def has_exceptions(self) -> bool:
        """Whether something in a directory that is left out may be taken back in."""
        return any(pattern.exception for pattern in self.patterns)

    def decide(self, path: str, parent: tuple[bool, ...] = ()) -> tuple[bool, tuple[bool, ...]]:
        """Tell whether `path` is left out, and what its children need to know; `parent` is that of its directory.

        patternmatcher.MatchesUsingParentResults.
        """
        ignored, matched = False, []
        for index, pattern in enumerate(self.patterns):
            match = bool(parent) and parent[index]
            if not match and pattern.exception == ignored:
                match = pattern.matches(path)
            matched.append(match)
            if match:
                ignored = not pattern.exception
        return ignored, tuple(matched)


def parse_ignore(data: bytes, name: str) -> Ignore:
    """Read an ignore file's bytes; raise UsageError for a pattern that BuildKit refuses. `name` is for the message."""
    lines = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")
    return Ignore(tuple(_pattern(text, name) for text in _texts(lines)))


def _texts(lines: Iterable[str]) -> Iterable[str]:
    """Clean the lines as ignorefile.ReadAll does."""
    for line in lines:
        text = line.strip()
        if line.startswith("#") or not text:
            continue
        exception = text.startswith("!")
        text = text[1:].strip() if exception else text
        if text:
            text = _clean(text)
            text = text[1:] if len(text) > 1 and text.startswith("/") else text
        yield f"!{text}" if exception else text


def _clean(text: str) -> str:
    """Shorten a path as Go's filepath.Clean does; normpath alone keeps two leading slashes."""
    return posixpath.normpath(re.sub(r"^/+", "/", text))


def _pattern(text: str, name: str) -> Pattern:
    """Make a pattern as patternmatcher.New does."""
    exception = text.startswith("!")
    body = text[1:] if exception else text
    if not body or not _is_valid(body):
        raise UsageError(f"{name} holds a pattern that BuildKit refuses: {text!r}", hint="correct its brackets")
    try:
        return Pattern(body, re.compile(_expression(body), re.ASCII), exception)
    except re.error:
        raise UsageError(f"{name} holds a pattern that BuildKit refuses: {text!r}", hint="correct its ranges") from None


def _is_valid(pattern: str) -> bool:
    """Check the syntax of Go's filepath.Match."""
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "\\":
            index += 1
            if index == len(pattern):
                return False
        elif char == "[":
            end = _class_end(pattern, index + 1)
            if end is None:
                return False
            index = end
        index += 1
    return True


def _class_end(pattern: str, index: int) -> int | None:
    """Find the `]` that ends the class which begins at `index`; None for a class that filepath.Match refuses."""
    index += pattern.startswith("^", index)
    ranges = 0
    while index < len(pattern):
        if pattern[index] == "]" and ranges:
            return index
        after = _member(pattern, index)
        if after is not None and pattern.startswith("-", after):
            after = _member(pattern, after + 1)
        if after is None:
            return None
        index, ranges = after, ranges + 1
    return None


def _member(pattern: str, index: int) -> int | None:
    """Step over one member of a class (filepath.getEsc)."""
    if index >= len(pattern) or pattern[index] in "-]":
        return None
    index += 2 if pattern[index] == "\\" else 1
    return index if index < len(pattern) else None


def _expression(pattern: str) -> str:
    """Translate as Pattern.compile does: `**` is any number of directories, `*` and `?` stay within one."""
    if not re.search(r"[*?\\\[\]]", pattern):
        return re.escape(pattern)
    plain = pattern.replace("**", "", 1)
    if pattern.startswith("**") and not re.search(r"[*?\\\[\]]", plain):
        return _suffix(pattern[2:])
    if pattern.endswith("/**") and not re.search(r"[*?\\\[\]]", pattern[:-2]):
        return re.escape(pattern[:-2]) + r"[\s\S]*"
    return _python("".join(_words(pattern)))


def _suffix(rest: str) -> str:
    """`**/x` is any path that ends so, and `x` itself."""
    alone = f"|{re.escape(rest[1:])}" if rest.startswith("/") else ""
    return rf"[\s\S]*{re.escape(rest)}{alone}"


def _words(pattern: str) -> Iterable[str]:
    index = 0
    while index < len(pattern):
        char = pattern[index]
        index += 1
        if pattern.startswith("**", index - 1):
            index += 1
            index += pattern.startswith("/", index)
            yield ".*" if index == len(pattern) else "(.*/)?"
        elif char == "*":
            yield "[^/]*"
        elif char == "?":
            yield "[^/]"
        elif char in _ESCAPED:
            yield f"\\{char}"
        elif char == "\\":
            yield f"\\{pattern[index]}"
            index += 1
        else:
            yield char


def _python(expression: str) -> str:
    """Spell Go's expression for Python: what Python keeps for nested sets, and escapes that only one of them has."""
    if "[:" in expression:
        return r"(?!)"  # a class by name: Go's, never used
    words: list[str] = []
    inside = False
    for word in re.findall(r"\\[\s\S]|\[\^?\]?|[\s\S]", expression):
        if word[0] == "\\":
            if word[1].isascii() and word[1].isalnum() and word[1] not in _GO_CLASSES:
                return r"(?!)"
            words.append(word)
        elif word[0] == "[" and not inside:
            inside = True
            words.append(word.replace("]", r"\]"))
        elif inside and word != "]":
            words.append("".join(f"\\{char}" if char in "[]&~|^" else char for char in word))
            inside = not word.endswith("]") or len(word) == 1
        else:
            inside = False
            words.append(word)
    return "".join(words)
