from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.protocol.warning import read_warnings


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('299 - "Your auth token will expire in 30 seconds."', ("Your auth token will expire in 30 seconds.",)),
        ('299 - "one, two", 299 - "three"', ("one, two", "three")),
        (r'299 - "a \"quoted\" word and a \\"', ('a "quoted" word and a \\',)),
        ('299 - "\x1b[31mred\x07\u202e"', ("[31mred",)),
        ('299 - ""', ()),
        ('299 - "\t "', ()),
        ('199 - "x"', ()),
        ('299 proxy.test "x"', ()),
        ('299 - "x" "Sat, 01 Jan 2022 00:00:00 GMT"', ()),
        ('110 - "x, 299 - y"', ()),
        ("299 - x", ()),
        ('299 - "not closed', ()),
        ('1299 - "x"', ()),
        ("", ()),
    ],
)
def test_warnings(value: str, expected: tuple[str, ...]) -> None:
    """A registry's own warnings are read, others aren't; nothing in them steers a terminal."""
    assert read_warnings(value) == expected


def test_a_long_warning_is_cut() -> None:
    """A text has an end."""
    assert read_warnings(f'299 - "{"x" * 10_000}"') == ("x" * 500,)


@given(st.text())
def test_any_warning_is_survived(value: str) -> None:
    """Whatever comes, what is shown can be printed."""
    assert all(text.isprintable() for text in read_warnings(value))
    assert all(text.isprintable() for text in read_warnings(f'299 - "{value}"'))
