"""A README's first paragraph, as plain text."""

from __future__ import annotations

import pytest

from regkit.ops.readme_summary import summary

LIMIT = 40


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# Title\n\nIt *says* `hello`\nto [all](x.md).\n\nMore.\n", "It says hello to all."),
        ("[![b](b.svg)](x) ![c](c.svg)\n\nWords.\n", "Words."),
        ("[English](en.md) | [Deutsch](de.md)\n\nWords.\n", "Words."),
        ('<p align="center"><b>App</b></p>\n\nWords.\n', "Words."),
        ("> A quote\n\n- a list\n\nWords.\n", "Words."),
        ("Title\n=====\n\nWords.\n", "Words."),
        ("A<br>B &amp; C", "AB & C"),
        ("# Title\n\n```\ncode\n```\n", ""),
        ("", ""),
    ],
)
def test_the_first_paragraph_that_says_something(text: str, said: str) -> None:
    assert summary(text, LIMIT) == said


def test_it_is_cut_at_a_sentence() -> None:
    assert summary("This is the first sentence. This one doesn't fit any more.", LIMIT) == "This is the first sentence."


@pytest.mark.parametrize("text", ["word " * 20, "x" * 41, "Ah. " + "word " * 20])
def test_else_it_is_cut_between_words(text: str) -> None:
    """Never within one that could have been left out whole."""
    found = summary(text, LIMIT)
    assert len(found) <= LIMIT
    assert found.endswith("…")
    assert text.startswith(found[:-1])
    assert text[len(found) - 1] == " " or " " not in text


def test_what_fits_stays_whole() -> None:
    assert summary("x" * LIMIT, LIMIT) == "x" * LIMIT
