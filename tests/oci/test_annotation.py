from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import UsageError
from regkit.oci.annotation import parse_annotations


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a=b"], {"a": "b"}),
        (["index:a=b"], {"a": "b"}),
        (["a=b=c"], {"a": "b=c"}),
        (["a="], {"a": ""}),
        (["a=1", "a=2"], {"a": "2"}),
        (["com.example:key=v"], {"com.example:key": "v"}),
        (["a=index:b"], {"a": "index:b"}),
        ([], {}),
    ],
)
def test_annotations_of_the_index(texts: list[str], expected: dict[str, str]) -> None:
    """`KEY=VALUE`, alone or at buildx's level `index:`; the last of a key counts; only levels are prefixes."""
    assert parse_annotations(texts) == expected


@pytest.mark.parametrize(
    "text", ["manifest:a=b", "manifest-descriptor:a=b", "manifest[linux/amd64]:a=b", "index-descriptor:a=b"]
)
def test_other_levels_are_refused_not_dropped(text: str) -> None:
    """What can't be set is refused, and the hint gives the same annotation for the index."""
    with pytest.raises(UsageError, match="can't be set") as caught:
        parse_annotations([text])

    assert caught.value.hint == "write index:a=b or a=b"


@pytest.mark.parametrize("text", ["", "a", "=b", "index:=b", "index:a"])
def test_what_is_no_annotation(text: str) -> None:
    """A key and an equals sign are needed."""
    with pytest.raises(UsageError, match="not an annotation"):
        parse_annotations([text])


@given(st.text(min_size=1).filter(lambda key: "=" not in key and ":" not in key), st.text())
def test_any_key_and_value(key: str, value: str) -> None:
    """Values hold anything, keys anything but an equals sign."""
    assert parse_annotations([f"{key}={value}"]) == {key: value}
