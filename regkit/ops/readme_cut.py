"""Cutting a README that is longer than a page may be: at a section, with a link to the rest."""

from __future__ import annotations

from collections.abc import Iterator

from regkit.ops.readme_text import Block, Document, normal, read


def cut(text: str, limit: int, rest: str | None = None) -> str:
    """Give a text of at most `limit` bytes of UTF-8: all of it, or its beginning and a link to the `rest`.

    It ends before a heading; where that would leave out more than half of what fits, before another block. A block,
    code above all, is never cut, but for a first paragraph that is longer than the limit itself: between two words.
    What the beginning's references are defined as comes along.
    """
    text = normal(text)
    if size_of(text) <= limit:
        return text
    document = read(text)
    end = f"*Cut here: [read the rest]({rest}).*" if rest else "*Cut here: the rest is in the project's repository.*"
    sections = _largest(document, [block for block in document.blocks if block.heading], limit, end)
    blocks = _largest(document, list(document.blocks), limit, end)
    if 2 * size_of(sections) >= size_of(blocks) > 0:
        return sections
    return blocks or _within(document, limit, end)


def size_of(text: str) -> int:
    """Give a text's size in bytes of UTF-8."""
    return len(text.encode())


def _largest(document: Document, before: list[Block], limit: int, end: str) -> str:
    """Give the longest text that ends before one of these blocks and fits; "" where there is none."""
    for block in reversed(before):
        if block.start > document.blocks[0].start:
            text = _joined("".join(document.lines[: block.start]).strip("\n"), end, *_needed(document, block.start))
            if size_of(text) <= limit:
                return text
    return ""


def _needed(document: Document, line: int) -> Iterator[str]:
    """Give the definitions that stand at `line` or below, and are used above."""
    used = {label for block in document.blocks if block.start < line for label in block.labels}
    for label, (start, written) in document.definitions.items():
        if label in used and start >= line:
            yield written


def _within(document: Document, limit: int, end: str) -> str:
    """Cut the first block between two words, if it's a paragraph; else leave all of it out."""
    first = document.blocks[0] if document.blocks else None
    if first is not None and first.prose:
        definitions = tuple(_needed(document, first.end))
        room = max(0, limit - size_of(_joined(".", end, *definitions)) + 1)
        begun = "".join(document.lines[first.start : first.end]).encode()[:room].decode(errors="ignore")
        words = begun.rstrip().rpartition(" ")[0].strip()
        if words:
            return _joined(words, end, *_needed(read(_joined(words, *definitions)), 1 + words.count("\n")))
    return _joined(end) if size_of(_joined(end)) <= limit else ""


def _joined(text: str, end: str = "", *definitions: str) -> str:
    return "\n\n".join(filter(None, (text, end, "\n".join(definitions)))) + "\n"
