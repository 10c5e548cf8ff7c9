from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.config.lines import line_of

TRICKY = '''\
# [publish.comment] isn't one
schema = 1
publish.dotted.image = "a/b"
publish."quoted.name"."x y" = """
[publish.within]
image = "not a key"
"""
publish.'literal' = { image = "a", tag = [
  "one", # target = "no"
  "two"] }

[registry."ghcr.io"]   # a header
mirror = [ "a",
  "b",

  "c" ]
"api"='https://x'

[[tool]]
name = "first"

  [publish.last]
\ttarget = \'\'\'
file = "no"\'\'\'
file = "yes"
at = 1979-05-27T07:32:00.5Z
'''


@pytest.mark.parametrize(
    ("path", "begins"),
    [
        (("schema",), "schema"),
        (("publish",), "publish.dotted"),
        (("publish", "dotted", "image"), "publish.dotted"),
        (("publish", "quoted.name"), 'publish."quoted.name"'),
        (("publish", "quoted.name", "x y"), 'publish."quoted.name"'),
        (("publish", "literal", "image"), "publish.'literal'"),
        (("publish", "literal", "tag"), "publish.'literal'"),
        (("registry",), "[registry."),
        (("registry", "ghcr.io"), "[registry."),
        (("registry", "ghcr.io", "mirror"), "mirror"),
        (("registry", "ghcr.io", "api"), '"api"'),
        (("tool",), "[[tool]]"),
        (("publish", "last"), "  [publish.last]"),
        (("publish", "last", "target"), "\ttarget"),
        (("publish", "last", "file"), 'file = "yes"'),
        (("publish", "last", "at"), "at = "),
    ],
)
def test_the_line_on_which_a_key_stands(path: tuple[str, ...], begins: str) -> None:
    """However it is spelled: dotted, quoted, in an inline table, after strings that look like keys."""
    line = TRICKY.splitlines()[line_of(TRICKY, path) - 1]

    assert line.startswith(begins)


def test_a_key_that_is_not_there() -> None:
    """The first line stands for the whole file."""
    assert line_of(TRICKY, ("publish", "comment")) == 1
    assert line_of("", ("publish",)) == 1


VALUES = st.sampled_from(
    ['"x"', "'''\n[a]\nb = 1\n'''", '"""\\\n  c = 2"""', "[\n 1,\n\n 2 ]", "{ d = 'e', f.g = 1 }", "true"]
)
KEYS = st.sampled_from(["a", "b", '"a.b"', "'c d'", "a-b", "x.y", 'x."z"'])
FILLERS = st.lists(st.sampled_from(["", "# a = 1", "   ", "# [b]"]), max_size=2)
STATEMENTS = st.lists(st.tuples(FILLERS, KEYS, VALUES), min_size=1, max_size=6, unique_by=lambda s: s[1])


@given(STATEMENTS, st.sampled_from(["\n", "\n\n"]))
def test_every_statement_is_found_where_it_was_written(statements: list[tuple[list[str], str, str]], end: str) -> None:
    """For any order of statements, the line is the one on which the statement was put."""
    text, expected = "", {}
    for filler, key, value in statements:
        text += "".join(f"{line}\n" for line in filler)
        expected[tuple(_keys(tomllib.loads(f"{key} = 0")))] = text.count("\n") + 1
        text += f"{key} = {value}{end}"

    assert {path: line_of(text, path) for path in expected} == expected


def _keys(document: Mapping[str, Any]) -> Iterator[str]:
    while isinstance(document, Mapping):
        [(key, document)] = document.items()
        yield key


def test_a_text_that_was_made_to_take_for_ever() -> None:
    """A statement of very many lines isn't looked into line by line; one of hundreds is."""
    assert line_of("x = [\n" + "1,\n" * 200 + "]\ny = 1\n", ("y",)) == 203
    assert line_of("x = [\n" + "1,\n" * 100_000 + "]\ny = 1\n", ("y",)) == 1
