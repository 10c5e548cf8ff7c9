"""A README as Markdown: where its relative links are, and where it can be cut.

markdown-it-py reads it (CommonMark, with GitHub's tables). It doesn't tell where in the text a link's destination
stands, so its rules for links, images and HTML are watched while they read; what isn't a destination stays as it is,
byte for byte, code above all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

_ATTRIBUTE = re.compile(
    r"""(?P<name>[a-zA-Z_:][-\w:.]*)(?:\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'=<>`]+)))?"""
)
_IN_HTML = {("a", "href"): False, ("img", "src"): True, ("img", "srcset"): True, ("source", "srcset"): True}
_DEFINITION = re.compile(r"\[(?:[^\[\]\\]|\\.)+\]:\s*", re.DOTALL)

Resolve = Callable[[str, bool], str]
"""Makes a destination absolute; the second argument tells whether it is an image's. What stays is given back."""


class _Span(NamedTuple):
    """A destination in the text: from `start` to `end`; what it says, and what it is."""

    start: int
    end: int
    text: str
    image: bool
    html: bool = False
    several: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the top level, by lines: `start` to `end`. `labels` are the references that it uses."""

    start: int
    end: int
    heading: bool
    prose: bool
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Document:
    """A README that was read: its lines (with their ends) and its blocks.

    `definitions` are those of references, by label: the line on which one begins, and how it is written.
    """

    lines: tuple[str, ...]
    blocks: tuple[Block, ...]
    definitions: dict[str, tuple[int, str]]


def rewrite(text: str, resolve: Resolve) -> str:
    """Replace the destinations of links, images, definitions and HTML by what `resolve` makes of them."""
    text = normal(text)
    env: dict[str, Any] = {}
    tokens = _parser(env).parse(text, env)
    starts = _line_starts(text)
    spans: set[_Span] = set()
    cells: dict[int, int] = {}
    for position, token in enumerate(tokens):
        if token.type not in ("inline", "html_block") or token.map is None:
            continue
        cell = token.type == "inline" and tokens[position - 1].type in ("th_open", "td_open")
        places = _places(token, text, starts, cells.get(token.map[0], 0) if cell else None)
        if cell:
            cells[token.map[0]] = max(places)
        found = token.meta["spans"] if token.type == "inline" else _html_spans(token.content, 0)
        spans.update(_moved(span, places) for span in found if -1 not in places[span.start : span.end + 1])
    spans.update(_definition_spans(text, starts, env))
    for span in sorted(spans, reverse=True):
        new = _replacement(span, resolve)
        if new is not None:
            text = f"{text[: span.start]}{new}{text[span.end :]}"
    return text


def read(text: str) -> Document:
    """Read a README for cutting."""
    text = normal(text)
    env: dict[str, Any] = {}
    tokens = _parser(env).parse(text, env)
    lines = tuple(re.findall(r"[^\n]*\n|[^\n]+", text))
    found = []
    for position, token in enumerate(tokens):
        if token.level or not token.map or token.nesting < 0:
            continue
        labels = frozenset(_labels(_inside(tokens, position)))
        found.append(
            Block(token.map[0], token.map[1], token.type == "heading_open", token.type == "paragraph_open", labels)
        )
    references = env.get("references", {})
    definitions = {
        label: (reference["map"][0], "".join(lines[slice(*reference["map"])]).strip())
        for label, reference in references.items()
    }
    return Document(lines, tuple(found), definitions)


def normal(text: str) -> str:
    """Give a text with LF at its line ends and no NUL, as every reader of Markdown takes it."""
    return re.sub(r"\r\n?", "\n", text).replace("\0", "\ufffd")


def _parser(env: dict[str, Any]) -> MarkdownIt:
    """Give a parser whose inline rules leave the destinations that they read in their token's `meta`."""
    parser = MarkdownIt("commonmark", {"store_labels": True}).enable("table")
    for name in ("link", "image"):
        _watch(parser, name, _link_span)
    _watch(parser, "html_inline", _tag_span)

    def inline(state: Any) -> None:
        for token in state.tokens:
            if token.type == "inline":
                env["watched"] = (token.content, token.meta.setdefault("spans", []))
                parser.inline.parse(token.content, state.md, state.env, token.children)

    parser.core.ruler.at("inline", inline)
    return parser


def _watch(parser: MarkdownIt, name: str, find: Callable[[StateInline, int, int], list[_Span]]) -> None:
    rule = next(rule.fn for rule in parser.inline.ruler.__rules__ if rule.name == name)

    def watched(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it calls it so
        start = state.pos
        matched: bool = rule(state, silent)
        content, spans = state.env["watched"]
        if matched and not silent and state.src == content:  # an image's own text is read apart, and isn't shown
            spans += find(state, start, state.pos)
        return matched

    parser.inline.ruler.at(name, watched)


def _link_span(state: StateInline, start: int, end: int) -> list[_Span]:
    """Find the destination of `[text](destination "title")`; none of a reference."""
    image = state.src[start] == "!"
    label = start + image
    position, state.pos = state.pos, label
    closing = state.md.helpers.parseLinkLabel(state, label, not image)
    state.pos = position
    if closing < 0 or closing + 2 > end or state.src[closing + 1 : closing + 2] != "(":
        return []
    first = closing + 2
    while first < end and state.src[first] in " \t\n":
        first += 1
    found = state.md.helpers.parseLinkDestination(state.src, first, end)
    return [_Span(first, found.pos, found.str, image)] if found.ok and found.pos <= end else []


def _tag_span(state: StateInline, start: int, end: int) -> list[_Span]:
    return list(_html_spans(state.src[start:end], start))


class _Tags(HTMLParser):
    """Finds the tags of a piece of HTML: name, where it stands, and how it is written."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self._starts = _line_starts(text)
        self.found: list[tuple[str, int, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag."""
        del attrs
        line, column = self.getpos()
        self.found.append((tag, self._starts[line - 1] + column, self.get_starttag_text() or ""))


def _html_spans(text: str, offset: int) -> Iterator[_Span]:
    for tag, start, written in _Tags(text).found:
        for match in _ATTRIBUTE.finditer(written, 1 + len(tag)):
            name = match["name"].lower()
            group = next((each for each in ("double", "single", "bare") if match[each] is not None), None)
            if group and (tag, name) in _IN_HTML:
                first, last = (offset + start + position for position in match.span(group))
                value = unescape(match[group])
                yield _Span(first, last, value, _IN_HTML[tag, name], html=True, several=name == "srcset")


def _places(token: Token, text: str, starts: Sequence[int], after: int | None) -> list[int]:
    """Give the position in the text of each character of a token's content, and of its end.

    Its lines lost what a list, a quote or a table has around them: each stands at the end of its own; a table's cell is
    the first of its kind from `after` on. -1 for what isn't found again. Lines of odd white space before the first one
    are none of the content's.
    """
    assert token.map is not None

    def aligned(part: str, line: int) -> list[int]:
        begin = starts[line] if line < len(starts) else len(text)
        end = starts[line + 1] - 1 if line + 1 < len(starts) else len(text)
        return _suffix(part, text, begin, end) if after is None else _cell(part, text, max(begin, after), end)

    parts = token.content.split("\n")
    first = next((line for line in range(*token.map) if aligned(parts[0], line)[0] >= 0), token.map[0])
    return [place for line, part in enumerate(parts, first) for place in aligned(part, line)]


def _suffix(part: str, text: str, begin: int, end: int) -> list[int]:
    """Place a line that lost what was before it; its indentation may have been written with tabs."""
    bare = part.lstrip(" \t")
    at = text.rfind(bare, begin, end)
    if at < 0:
        return [-1] * (len(part) + 1)
    return [at] * (len(part) - len(bare)) + list(range(at, at + len(bare) + 1))


def _cell(part: str, text: str, begin: int, end: int) -> list[int]:
    """Place a table's cell, which lost the backslashes before its `|`."""
    pattern = "".join(r"\\?\|" if character == "|" else re.escape(character) for character in part)
    match = re.compile(pattern).search(text, begin, end)
    if match is None:
        return [-1] * (len(part) + 1)
    at = match.start()
    places = []
    for character in part:
        at += character == "|" and text[at] == "\\"
        places.append(at)
        at += 1
    return [*places, at]


def _moved(span: _Span, places: Sequence[int]) -> _Span:
    """Give a span of a token's content as one of the text."""
    end = places[span.end - 1] + 1 if span.end > span.start else places[span.start]
    return span._replace(start=places[span.start], end=end)


def _definition_spans(text: str, starts: Sequence[int], env: dict[str, Any]) -> Iterator[_Span]:
    from markdown_it.helpers import parseLinkDestination

    for label, reference in env.get("references", {}).items():
        if label.startswith("^"):  # GitHub takes it for a footnote
            continue
        first, last = reference["map"]
        begin, end = starts[first], starts[last] if last < len(starts) else len(text)
        match = _DEFINITION.search(text, begin, end)
        if match is not None:
            found = parseLinkDestination(text, match.end(), end)
            if found.ok:
                yield _Span(match.end(), found.pos, found.str, image=False)


def _replacement(span: _Span, resolve: Resolve) -> str | None:
    if span.several:
        parts = [part.split(None, 1) for part in span.text.split(",") if part.strip()]
        new = ", ".join(" ".join([resolve(part[0], span.image), *part[1:]]) for part in parts)
        unchanged = all(resolve(part[0], span.image) == part[0] for part in parts)
    else:
        new = resolve(span.text, span.image)
        unchanged = new == span.text
    if unchanged:
        return None
    return new.replace("&", "&amp;") if span.html else new


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


def _inside(tokens: Sequence[Token], position: int) -> Iterator[Token]:
    """Give a block's own tokens, with those inside its text."""
    for token in tokens[position:]:
        yield token
        yield from token.children or ()
        if token.level == 0 and token.nesting < 1:
            return


def _labels(tokens: Iterator[Token]) -> Iterator[str]:
    for token in tokens:
        if "label" in token.meta:
            yield token.meta["label"]
