"""Cutting a README: by bytes, at a section, never in a code point or a code block."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from regkit.ops.readme_cut import cut, size_of

REST = "https://x.test/README.md"
END = f"*Cut here: [read the rest]({REST}).*"
_PLAIN = MarkdownIt("commonmark").enable("table")


def test_what_fits_is_not_cut() -> None:
    """To the byte."""
    text = "# é\n\ntext\n"
    assert cut(text, size_of(text), REST) == text
    assert cut(text, size_of(text) - 1, REST) != text


def test_it_is_cut_before_a_section() -> None:
    """The last heading that leaves room for the link."""
    text = "# One\n\n" + "word " * 100 + "\n\n## Two\n\n" + "word " * 20 + "\n\n## Three\n\n" + "word " * 100
    found = cut(text, 800, REST)

    assert found == text[: text.index("\n\n## Three")] + f"\n\n{END}\n"


def test_a_section_that_would_leave_out_most() -> None:
    """Then another block's end is better than half a page of nothing."""
    text = "logo\n\n# One\n\n" + "".join(f"paragraph {number} {'word ' * 20}\n\n" for number in range(20))
    found = cut(text, 1000, REST)

    assert size_of(found) > 800
    assert found.endswith(f"\n\n{END}\n")
    assert text.startswith(found.removesuffix(f"\n\n{END}\n"))


def test_code_is_never_cut() -> None:
    """A heading within it is none, and it stays whole or goes."""
    code = "```\n" + "# no heading\n\n" * 30 + "```"
    text = f"# One\n\ntext\n\n{code}\n\n# Two\n"
    assert cut(text, 300, REST) == f"# One\n\ntext\n\n{END}\n"


def test_a_text_that_is_one_block_of_code() -> None:
    """What can't be cut is left out."""
    assert cut("```\n" + "x\n" * 500 + "```", 200, REST) == f"{END}\n"


def test_a_text_that_is_one_paragraph() -> None:
    """It's cut between two words, and not within a code point."""
    found = cut("Größe " * 200, 200, REST)

    assert re.fullmatch(rf"(Größe )+Größe\n\n{re.escape(END)}\n", found)
    assert 180 < size_of(found) <= 200


def test_definitions_come_along() -> None:
    """Those that the beginning uses, which stand at the file's end; no others."""
    text = "# One\n\n[a] [b][c]\n\n# Two\n\n" + "word " * 100 + "[d]\n\n[a]: a.md\n[c]: c.md\n[d]: d.md\n"
    assert cut(text, 200, REST) == f"# One\n\n[a] [b][c]\n\n{END}\n\n[a]: a.md\n[c]: c.md\n"


def test_where_the_rest_is_unknown() -> None:
    assert "the rest is in the project's repository" in cut("# One\n\n# Two\n" + "word " * 100, 200)


def test_a_limit_that_nothing_fits() -> None:
    assert cut("# One\n" * 50, 10, REST) == ""


BLOCKS = st.sampled_from(
    [
        "# Heading é\n\n",
        "## Zwei 🙂\n\n",
        "Ein Absatz mit Größe und [r] und 🙂🙂🙂.\n\n",
        "```sh\n# no heading\n\necho 🙂\n```\n\n",
        "    # indented code\n\n",
        "- item\n\n  # in a list\n\n",
        "> quoted\n\n",
        "| a | b |\n|--|--|\n| é | 🙂 |\n\n",
        "<div>\n<b>🙂</b>\n</div>\n\n",
    ]
)


@given(st.lists(BLOCKS, min_size=1, max_size=12), st.integers(100, 400))
def test_a_cut_text_is_a_whole_page(blocks: list[str], limit: int) -> None:
    """It fits, begins as the text does, ends with the link, and its blocks are the text's own."""
    text = "".join(blocks) + "# End\n\n" + "word " * 80 + "\n\n[r]: r.md\n"
    found = cut(text, limit, REST)

    assert size_of(found) <= limit
    kept = found[: found.index(END)]
    begun = [(t.type, t.content) for t in _PLAIN.parse(kept) if t.level == 0 and t.type in ("fence", "code_block")]
    whole = [(t.type, t.content) for t in _PLAIN.parse(text) if t.level == 0 and t.type in ("fence", "code_block")]
    assert begun == whole[: len(begun)]
    assert text.startswith(kept.rstrip("\n"))
    assert ("[r]: r.md" in found) == ("[r]" in kept)


@pytest.mark.parametrize("limit", range(90, 130))
def test_every_limit_falls_between_code_points(limit: int) -> None:
    """Four bytes each: no limit splits one."""
    found = cut("🙂 " * 100, limit, REST)
    assert size_of(found) <= limit
    assert set(found.replace(END, "")) <= {"🙂", " ", "\n"}
