from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import UsageError
from regkit.oci.annotation import Annotation, parse_annotations, parse_levels
from regkit.oci.platform import Platform


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
