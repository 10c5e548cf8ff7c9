"""`.dockerignore`: which paths of a context BuildKit leaves out.

The same decisions as moby/patternmatcher and fsutil's walk take, their oddities included: each pattern becomes
the regular expression that Go's code makes of it, and is matched as Go does it, without going back. Where a pattern
can't be followed it leaves nothing out.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from regkit.build.automaton import Automaton, repeats

_ESCAPED = frozenset(".+()$")  # patternmatcher means to escape {|} as well, but its bitmap has no room for them
_SPECIAL = re.compile(r"[*?\\\[\]]")
_NOTHING = r"(?!)"
_ANYTHING = ""
_SHARED_ESCAPES = frozenset("dDsSwWafnrtv")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line: the paths that it matches, and whether it takes them back in (`!`)."""

    text: str
    matches: Callable[[str], object]
    """Tell whether the whole path matches, without its parents."""
    exception: bool


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
                match = bool(pattern.matches(path))
            matched.append(match)
            if match:
                ignored = not pattern.exception
        return ignored, tuple(matched)


def parse_ignore(data: bytes) -> Ignore:
    """Read an ignore file's bytes."""
    lines = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")
    return Ignore(tuple(_pattern(text) for text in _texts(lines)))


def _texts(lines: Iterable[str]) -> Iterator[str]:
    """Clean the lines as ignorefile.ReadAll does, and patternmatcher.New once more."""
    for line in lines:
        text = line.strip()
        if line.startswith("#") or not text:
            continue
        exception = text.startswith("!")
        text = text[1:].strip() if exception else text
        if text:
            text = _clean(text)
            text = text[1:] if len(text) > 1 and text.startswith("/") else text
        text = (f"!{text}" if exception else text).strip()
        if text:
            yield _clean(text)


def _clean(text: str) -> str:
    """Shorten a path as Go's filepath.Clean does; normpath alone keeps two leading slashes."""
    return posixpath.normpath(re.sub(r"^/+", "/", text))


def _pattern(text: str) -> Pattern:
    """Make a pattern as patternmatcher.New does; what BuildKit refuses fails its build, and leaves nothing out here."""
    exception = text.startswith("!")
    body = text[1:] if exception else text
    try:
        matches = _matcher(body)
    except (re.error, ValueError):
        matches = re.compile(_ANYTHING if exception else _NOTHING).search
    return Pattern(body, matches, exception)


def _matcher(pattern: str) -> Callable[[str], object]:
    """Translate as Pattern.compile does: `**` is any number of directories, `*` and `?` stay within one."""
    if not _SPECIAL.search(pattern):
        return partial(str.__eq__, pattern)
    if pattern.startswith("**") and not _SPECIAL.search(pattern[2:]):
        rest = pattern[2:]  # `**/x` is any path that ends so, and `x` itself
        return lambda path: path.endswith(rest) or (rest.startswith("/") and path == rest[1:])
    if pattern.endswith("**") and not _SPECIAL.search(pattern[:-2]):
        return lambda path: path.startswith(pattern[:-2])
    expression = _python("".join(_words(pattern)))
    whole = re.compile(rf"\A{expression}\Z", re.ASCII)
    return whole.search if repeats(expression) < 2 else Automaton(expression).matches


def _words(pattern: str) -> Iterator[str]:
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
            if index == len(pattern):
                raise ValueError("a backslash at the end escapes nothing")
            yield f"\\{pattern[index]}"
            index += 1
        else:
            yield char


def _python(expression: str) -> str:
    """Spell Go's expression for Python: what Python keeps for nested sets, and escapes that only one of them has."""
    if "[:" in expression:
        raise ValueError("a class by name, which Python doesn't know")
    words: list[str] = []
    inside = empty = False
    for word in re.findall(r"\\[\s\S]|[\s\S]", expression.replace("{,", r"\{,")):
        if word[0] == "\\" and word[1].isascii() and word[1].isalnum() and word[1] not in _SHARED_ESCAPES:
            raise ValueError("an escape that means another thing in Python, or none")
        if inside and word == words[-1] == "-":
            raise ValueError("two hyphens, which may mean a difference of sets")
        if not inside:
            inside = empty = word == "["
        elif word == "]" and not empty:
            inside = False
        elif word != "^" or words[-1] != "[":
            word, empty = f"\\{word}" if word in "[]&~|^" else word, False  # noqa: PLW2901 - one more spelling of it
        words.append(word)
    return "".join(words)
