"""A README in one line: its first paragraph that says something, as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token


def summary(text: str, limit: int) -> str:
    """Give the first paragraph without its markup, of `limit` characters at most; "" where there is none.

    Badges, rows of links and HTML are no paragraph. What is longer is cut at a sentence, else between words.
    """
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for opening, inline in pairwise(tokens):
        if opening.type == "paragraph_open" and not opening.level and _speaks(inline.children or ()):
            return _cut(" ".join("".join(_words(inline.children or ())).split()), limit)
    return ""


def _speaks(tokens: Sequence[Token]) -> bool:
    """Tell whether there is a word outside of links."""
    depth = 0
    for token in tokens:
        depth += token.nesting if token.type.startswith("link_") else 0
        if not depth and token.type == "text" and any(map(str.isalnum, token.content)):
            return True
    return False


def _words(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type in ("text", "code_inline"):
            yield token.content
        elif token.type in ("softbreak", "hardbreak"):
            yield " "


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    end = text.rfind(". ", 0, limit)
    if end > limit // 2:
        return text[: end + 1]
    kept = text[: limit - 1]
    return f"{kept.rpartition(' ')[0] or kept}…"
