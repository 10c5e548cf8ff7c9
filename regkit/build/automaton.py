"""Expressions of ignore files, matched in one pass over a path: however many stars there are, nothing is tried twice.

Python's `re` goes back and tries again, which takes time without end for a pattern such as `*a*a*a*a*a*b`. Here the
expression becomes states, all of which are followed at once; what follows is kept, so a character costs a look-up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import TypeAlias

_MAX_STATES = 20_000
_CLASS = r"\[\^?(?:\\[\s\S]|[^\]\\])*\]"
_TOKEN = re.compile(
    rf"(?P<gap>\(\.\*/\)\?)|(?P<bar>\|)|(?P<atom>{_CLASS}|\\[\s\S]|[\s\S])(?P<count>\*|\{{\d+(?:,\d*)?\}})?"
)
_FOREVER = r"[\s\S]"

States: TypeAlias = frozenset[int]


def repeats(expression: str) -> int:
    """Count what may match more or less of a path: with at most one, going back costs nothing."""
    found = [match for match in _TOKEN.finditer(expression) if match["gap"] or match["count"]]
    return len(found) + ("|" in expression)


class Automaton:
    """An expression as `ignorefile` makes it: `[^/]*`, `.*` and `(.*/)?`, classes, escapes, `{n,m}` and `|`.

    It is held at both ends of a path; a `|` parts that, too: what is before it is held at the beginning, what is behind
    it at the end. Raise ValueError for what isn't understood, or has too many states; re.error for a broken class.
    """

    def __init__(self, expression: str) -> None:
        self._moves: list[list[tuple[Callable[[str], object], int]]] = []
        self._skips: list[list[int]] = []
        self._ends = set[int]()
        *others, last = _alternatives(expression)
        starts = [self._add(tokens, first=number == 0, last=False) for number, tokens in enumerate(others)]
        starts.append(self._add(last, first=not others, last=True))
        self._start = self._closed(starts)
        self._next: dict[tuple[States, str], States] = {}

    def matches(self, text: str) -> bool:
        """Match the whole text."""
        states = self._start
        for char in text:
            after = self._next.get((states, char))
            states = self._step(states, char) if after is None else after
            if not states:
                return False
        return not self._ends.isdisjoint(states)

    def _add(self, tokens: Iterable[re.Match[str]], *, first: bool, last: bool) -> int:
        """Add an alternative; give the state in which it begins."""
        start = self._state()
        if not first:
            self._loop(_FOREVER)
        for token in tokens:
            if token["gap"]:
                self._gap()
            else:
                self._atom(token["atom"], token["count"])
        if not last:
            self._loop(_FOREVER)
        self._ends.add(len(self._moves) - 1)
        return start

    def _state(self) -> int:
        if len(self._moves) >= _MAX_STATES:
            raise ValueError("it has too many states")
        self._moves.append([])
        self._skips.append([])
        return len(self._moves) - 1

    def _one(self, atom: str, *, optional: bool = False) -> None:
        at, after = len(self._moves) - 1, self._state()
        self._moves[at].append((_test(atom), after))
        if optional:
            self._skips[at].append(after)

    def _loop(self, atom: str) -> None:
        self._skips[-1].append(len(self._moves))
        at = self._state()
        self._moves[at].append((_test(atom), at))

    def _gap(self) -> None:
        """Add any directories, or none."""
        at = len(self._moves) - 1
        self._loop(".")
        self._one("/")
        self._skips[at].append(len(self._moves) - 1)

    def _atom(self, atom: str, count: str | None) -> None:
        least, most = _bounds(count)
        for _ in range(least):
            self._one(atom)
        if most is None:
            self._loop(atom)
        for _ in range(least, most or 0):
            self._one(atom, optional=True)

    def _closed(self, states: Iterable[int]) -> States:
        """Add what is reached without a character."""
        waiting, found = list(states), set[int]()
        while waiting:
            state = waiting.pop()
            if state not in found:
                found.add(state)
                waiting += self._skips[state]
        return frozenset(found)

    def _step(self, states: States, char: str) -> States:
        after = self._closed(to for state in states for test, to in self._moves[state] if test(char))
        if len(self._next) >= _MAX_STATES:
            self._next.clear()
        self._next[states, char] = after
        return after


def _alternatives(expression: str) -> Iterator[list[re.Match[str]]]:
    tokens: list[re.Match[str]] = []
    for token in _TOKEN.finditer(expression):
        if token["bar"]:
            yield tokens
            tokens = []
        elif token["atom"] in ("^", "*", "["):
            raise ValueError(f"{token['atom']!r} stands where it means something else")
        else:
            tokens.append(token)
    yield tokens


def _bounds(count: str | None) -> tuple[int, int | None]:
    """Read `*`, `{n}`, `{n,}` or `{n,m}`; raise ValueError for what regular expressions in Go refuse."""
    if count is None or count == "*":
        return (1, 1) if count is None else (0, None)
    least, comma, most = count.strip("{}").partition(",")
    low = int(least)
    high = (int(most) if most else None) if comma else low
    if max(low, high or 0) > 1000 or (high is not None and high < low):
        raise ValueError(f"{count} is no count")
    return low, high


@cache
def _test(atom: str) -> Callable[[str], object]:
    if len(atom) == 1 and atom != ".":
        return partial(str.__eq__, atom)
    return re.compile(atom, re.ASCII).fullmatch
