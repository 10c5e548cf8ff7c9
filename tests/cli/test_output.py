"""Results as text: aligned, measured, and unable to steer a terminal."""

from __future__ import annotations

import pytest

from regkit.cli.output import counted, fitting, human_size, safe, table, width_of
from regkit.oci.digest import Digest

DIGEST = Digest.of(b"x")


def test_safe() -> None:
    """Text is shown as it is, unless it holds what can't be shown."""
    assert safe("plain \u00e9 text") == "plain \u00e9 text"
    assert safe("a\nb\tc\x00\ud800\u202e") == "a b c   "
    assert safe("a\nb\x1b", keep="\n") == "a\nb "


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (7 << 40, "7168.0 GiB")],
)
def test_sizes_for_people(size: int, expected: str) -> None:
    """Powers of 1024, with the unit."""
    assert human_size(size) == expected


def test_numbers_of_things() -> None:
    """One is one."""
    assert [counted(number, "layer") for number in (0, 1, 2)] == ["0 layers", "1 layer", "2 layers"]


@pytest.mark.parametrize(
    ("text", "width"), [("plain", 5), ("\u00e9", 1), ("e\u0301", 1), ("\u955c\u50cf", 4), ("\uff21", 2)]
)
def test_widths(text: str, width: int) -> None:
    """A letter with an accent takes one column, however it is composed; Chinese characters take two."""
    assert width_of(text) == width


def test_tables() -> None:
    """Columns are aligned as a terminal shows them, and no line ends in blanks."""
    assert table([("A", "B"), ("long", "")]) == ["A     B", "long"]
    assert table([("\u955c\u50cf", "B"), ("x", "C")]) == ["\u955c\u50cf  B", "x     C"]


@pytest.mark.parametrize(("columns", "whole"), [(80, True), (79, False)])
def test_a_narrow_terminal_gets_short_digests(monkeypatch: pytest.MonkeyPatch, columns: int, whole: bool) -> None:
    """What fits is written whole; a pipe gets all of it."""
    rows = [("NAME", "DIGEST"), ("seven77", DIGEST)]
    assert len(table(rows)[1]) == 80
    monkeypatch.setenv("COLUMNS", str(columns))
    assert fitting(rows) == table(rows)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    assert fitting(rows)[1] == f"seven77  {DIGEST if whole else DIGEST.short}"
