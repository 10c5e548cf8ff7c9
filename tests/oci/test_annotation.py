from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import UsageError
from regkit.oci.annotation import Annotation, parse_levels
from regkit.oci.platform import Platform


@given(st.text(min_size=1).filter(lambda key: "=" not in key and ":" not in key), st.text())
def test_any_key_and_value(key: str, value: str) -> None:
    """Values hold anything, keys anything but an equals sign."""
    assert parse_levels([f"{key}={value}"]) == (Annotation("index", key, value),)


@pytest.mark.parametrize(
    "text",
    [
        "index:a=b",
        "index-descriptor:a=b",
        "manifest[linux/arm/v7]:a=b",
        "manifest:a=",
        "manifest-descriptor[linux/386]:a=b",
    ],
)
def test_an_annotation_is_written_as_it_is_read(text: str) -> None:
    """A plan in a file holds them so."""
    (found,) = parse_levels([text], images=True)

    assert str(found) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b=c", [Annotation("index", "a", "b=c")]),
        ("index:a=", [Annotation("index", "a", "")]),
        ("index-descriptor:a=b", [Annotation("index-descriptor", "a", "b")]),
        ("manifest-descriptor:a=b", [Annotation("manifest-descriptor", "a", "b")]),
        ("com.example:a=b", [Annotation("index", "com.example:a", "b")]),
        (
            "index,manifest-descriptor[linux/arm64]:a=x:y",
            [
                Annotation("index", "a", "x:y"),
                Annotation("manifest-descriptor", "a", "x:y", Platform("linux", "arm64")),
            ],
        ),
        ("a=two\nlines", [Annotation("index", "a", "two\nlines")]),
    ],
)
def test_levels_are_written_as_buildx_writes_them(text: str, expected: list[Annotation]) -> None:
    """A level, several, one with a platform; what isn't a level belongs to the key."""
    assert list(parse_levels([text])) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a", "not an annotation"),
        ("", "not an annotation"),
        ("=b", "not an annotation"),
        ("index:=b", "not an annotation"),
        ("manifest:a=b", "an image's own bytes"),
        ("manifest[linux/amd64]:a=b", "an image's own bytes"),
        ("index[linux/amd64]:a=b", "names a platform"),
        ("manifest-descriptor[linux/foo]:a=b", "unknown platform"),
        ("manifest-descriptor[]:a=b", "not a platform"),
    ],
)
def test_levels_that_cant_be_meant(text: str, said: str) -> None:
    """An image's bytes aren't changed, an index has no platform, a platform is a known one."""
    with pytest.raises(UsageError, match=said):
        parse_levels([text])
