"""Links of a README: which are found, and that nothing else changes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from regkit.ops.readme_text import normal, read, rewrite


def mark(destination: str, image: bool) -> str:
    """Make a destination recognisable."""
    return f"{'IMAGE' if image else 'LINK'}({destination})".replace("(", "<").replace(")", ">").replace("<", "-")[:-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](b.md)", "[a](LINK-b.md)"),
        ('[a](b.md "title b.md")', '[a](LINK-b.md "title b.md")'),
        ("[a]( <b.md> )", "[a]( LINK-b.md )"),
        ("![a](b.png)", "![a](IMAGE-b.png)"),
        ("[![a](b.png)](c.md)", "[![a](IMAGE-b.png)](LINK-c.md)"),
        ("![a [b](c.md)](d.png)", "![a [b](c.md)](IMAGE-d.png)"),
        ("*[a](b.md)* **[a](b.md)**", "*[a](LINK-b.md)* **[a](LINK-b.md)**"),
        ("[b.md](b.md) b.md", "[b.md](LINK-b.md) b.md"),
        ("[a][r]\n\n[r]: b.md", "[a][r]\n\n[r]: LINK-b.md"),
        ('[r]\n\n[r]:\n  <b.md>\n  "b.md"', '[r]\n\n[r]:\n  LINK-b.md\n  "b.md"'),
        ("[r](not a link\n\n[r]: b.md", "[r](not a link\n\n[r]: LINK-b.md"),
        ("[^1]\n\n[^1]: note", "[^1]\n\n[^1]: note"),
        ("# [a](b.md) #", "# [a](LINK-b.md) #"),
        ("[a](b.md)\n===", "[a](LINK-b.md)\n==="),
        ("> quoted\n> [a](b.md)", "> quoted\n> [a](LINK-b.md)"),
        ("> quoted\n[a](b.md)", "> quoted\n[a](LINK-b.md)"),
        ("- one\n  - [a](b.md)\n    [c](d.md)", "- one\n  - [a](LINK-b.md)\n    [c](LINK-d.md)"),
        ("-\t[a](b.md)\n\t[c](d.md)", "-\t[a](LINK-b.md)\n\t[c](LINK-d.md)"),
        ("1. [a](b.md)\n   > [c](d.md)", "1. [a](LINK-b.md)\n   > [c](LINK-d.md)"),
        ("\xa0\n[a](b.md)", "\xa0\n[a](LINK-b.md)"),
        ("[a](b.md)  \n[a](b.md)", "[a](LINK-b.md)  \n[a](LINK-b.md)"),
        (
            "| [a](b.md) | [a](b.md) |\n|--|--|\n| [a](b.md) | `[a](b.md)` |",
            "| [a](LINK-b.md) | [a](LINK-b.md) |\n|--|--|\n| [a](LINK-b.md) | `[a](b.md)` |",
        ),
        ("| x |\n|--|\n| `a\\|b` [a](b.md) |", "| x |\n|--|\n| `a\\|b` [a](LINK-b.md) |"),
        ('a <a href="b.md">c</a>', 'a <a href="LINK-b.md">c</a>'),
        ("a <img src='b.png' alt=\"b.png\">", "a <img src='IMAGE-b.png' alt=\"b.png\">"),
        ("a <img src=b.png>", "a <img src=IMAGE-b.png>"),
        ('a <a\n  href="b.md">c</a>', 'a <a\n  href="LINK-b.md">c</a>'),
        ('a <A HREF="b.md?x=1&amp;y=2">c</A>', 'a <A HREF="LINK-b.md?x=1&amp;y=2">c</A>'),
        ('a <a data-href="b.md" title="href=b.md">c</a>', 'a <a data-href="b.md" title="href=b.md">c</a>'),
        (
            '<p align="center">\n  <img src="b.png">\n  <a href="c.md">d</a>\n</p>',
            '<p align="center">\n  <img src="IMAGE-b.png">\n  <a href="LINK-c.md">d</a>\n</p>',
        ),
        ('<source srcset="a.png 1x, b.png 2x">', '<source srcset="IMAGE-a.png 1x, IMAGE-b.png 2x">'),
        ("> <div>\n> <img src=b.png>\n> </div>", "> <div>\n> <img src=IMAGE-b.png>\n> </div>"),
    ],
)
def test_destinations_are_found(text: str, expected: str) -> None:
    """In links, images, definitions and HTML, however a list, a quote or a table stands around them."""
    assert rewrite(text, mark) == expected


@pytest.mark.parametrize(
    "text",
    [
        "`[a](b.md)`",
        "``[a](b.md)`` and ` <a href=b.md> `",
        "```md\n[a](b.md)\n[r]: b.md\n```",
        "~~~\n![a](b.png)\n~~~",
        "    [a](b.md)",
        "> ```\n> [a](b.md)\n> ```",
        "<!-- [a](b.md) <img src=b.png> -->",
        "<pre>\n&lt;img src=b.png&gt;\n</pre>",
        "<script>\n'<img src=b.png>'\n</script>",
        r"\[a](b.md)",
        "[a] (b.md)",
        "[a](b c.md)",
        "<b.md>",
        "plain b.md text",
        "",
        "\n\n",
    ],
)
def test_what_is_no_destination_stays(text: str) -> None:
    """Code above all, byte for byte."""
    assert rewrite(text, mark) == text


def test_line_ends() -> None:
    """CRLF is LF for all who read Markdown, and what is sent has it so."""
    assert rewrite("a\r\n[b](c.md)\rd", mark) == "a\n[b](LINK-c.md)\nd"


LINKS = ("[a](b.md)", "![a](b.png)", "`[a](b.md)`", "<img src=b.png>", "[r]", "\n[r]: b.md\n")
BLOCKS = ("\n", "\n\n", "> ", "- ", "    ", "```\n", "| a | b |\n|--|--|\n", "<div>\n", "</div>\n", "#")
OTHERS = (
    "text",
    "|",
    "\\|",
    "<!--",
    "-->",
    "é",
    "*",
    "\\",
    "\t",
    "\xa0",
    "\x0c",
    "\u2028",
    "&amp;",
    "<a\nhref=x>",
    "===",
)
PIECES = st.sampled_from((*LINKS, *BLOCKS, *OTHERS))
_PLAIN = MarkdownIt("commonmark").enable("table")


def destinations(text: str) -> list[str]:
    """Give the destinations that a reader of the page gets: of links and images, in their order."""
    found = []
    for token in _PLAIN.parse(text):
        for child in token.children or ():
            name = {"link_open": "href", "image": "src"}.get(child.type)
            if name:
                found.append(str(child.attrs[name]))
    return found


def structure(text: str) -> list[tuple[str, str]]:
    """Give a page's structure, with all code in it, and without destinations."""
    code = {"code_inline", "code_block", "fence"}
    tokens = [each for token in _PLAIN.parse(text) for each in (token, *(token.children or ()))]
    return [(token.type, token.content if token.type in code else "") for token in tokens]


@given(st.lists(PIECES, max_size=24).map("".join))
def test_the_page_is_the_same_but_for_its_destinations(text: str) -> None:
    """Whatever the text: the parser finds the same structure and code, each destination replaced, none left."""
    new = rewrite(text, lambda destination, image: f"https://x.test/{'i' if image else 'l'}/{destination}")

    assert structure(new) == structure(normal(text))
    before, after = destinations(text), destinations(new)
    assert [re.sub(r"https://x\.test/[il]/", "", each) for each in after] == before
    if "\t" not in text:
        assert all(each.startswith("https://x.test/") for each in after)


@given(st.lists(PIECES, max_size=24).map("".join))
def test_who_changes_nothing_gets_the_same_bytes(text: str) -> None:
    assert rewrite(text, lambda destination, _: destination) == normal(text)


def test_blocks_and_definitions() -> None:
    """Blocks of the top level by lines, with the references that they use."""
    text = "# One [r]\n\ntext\n\n```\n# no\n```\n\n- a\n\n  # in a list\n\n[r]: b.md\n"
    document = read(text)

    assert [(block.start, block.heading, block.prose) for block in document.blocks] == [
        (0, True, False),
        (2, False, True),
        (4, False, False),
        (8, False, False),
    ]
    assert document.blocks[0].labels == {"R"}
    assert document.definitions == {"R": (12, "[r]: b.md")}
    assert "".join(document.lines) == text
