from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import UsageError
from regkit.oci.platform import Platform, parse_platforms

KNOWN = [
    "linux/386",
    "linux/amd64",
    "linux/amd64/v2",
    "linux/amd64/v3",
    "linux/arm/v5",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/arm64",
    "linux/arm64/v8",
    "linux/loong64",
    "linux/mips64le",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
    "windows/amd64",
    "windows/arm64",
    "darwin/arm64",
    "freebsd/amd64",
    "wasip1/wasm",
]


@pytest.mark.parametrize("text", KNOWN)
def test_a_known_platform_is_written_as_it_was_asked_for(text: str) -> None:
    """What users ask for is what an index will say, variant included."""
    platform = Platform.parse(text)

    assert str(platform) == text
    assert platform.slug == text.replace("/", "-")
    assert Platform.from_json(platform.to_json()) == platform


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/armhf", "linux/arm"),
        ("linux/i386", "linux/386"),
        (" Linux/ARM64/V8 ", "linux/arm64/v8"),
    ],
)
def test_other_spellings(text: str, expected: str) -> None:
    """What other tools call an architecture is understood, blanks and capitals too."""
    assert str(Platform.parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("linux", "not a platform"),
        ("", "not a platform"),
        ("linux/", "not a platform"),
        ("linux/arm/v7/x", "not a platform"),
        ("linux/a b", "not a platform"),
        ("linux/amd64\u0000", "not a platform"),
        ("plan9/amd64", "no system 'plan9'"),
        ("linux/foo", "no architecture 'foo'"),
        ("windows/s390x", "no architecture 's390x'"),
        ("linux/wasm", "no architecture 'wasm'"),
        ("linux/arm/v9", "no variant 'v9'"),
        ("linux/arm64/v7", "no variant 'v7'"),
        ("linux/riscv64/v1", "no variant 'v1'"),
        ("unknown/unknown", "no system 'unknown'"),
    ],
)
def test_an_unknown_platform_is_refused_with_a_way_on(text: str, reason: str) -> None:
    """BuildKit would take some of these and build nonsense; each is refused, and a hint names what there is."""
    with pytest.raises(UsageError, match=reason) as caught:
        Platform.parse(text)

    assert caught.value.hint


@given(st.text())
def test_arbitrary_text_is_a_platform_or_bad_usage(text: str) -> None:
    """Nothing but a UsageError comes out of other text."""
    try:
        platform = Platform.parse(text)
    except UsageError:
        return

    assert str(platform) in {str(Platform.parse(str(platform)))}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/amd64", "linux/amd64/v1", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm", "linux/arm/v6", False),
        ("linux/arm/v8", "linux/arm64/v8", False),
        ("linux/arm64", "linux/arm64/v9", False),
        ("linux/amd64", "linux/amd64/v2", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/ppc64le", "linux/ppc64le", True),
    ],
)
def test_normalised_comparison(one: str, other: str, same: bool) -> None:
    """Platforms are equal after normalising exactly where they mean the same machine."""
    assert (Platform.parse(one).normalized == Platform.parse(other).normalized) == same


def test_normalising_counts_the_systems_version_and_features() -> None:
    """Windows images of two versions aren't the same; the order of features doesn't matter."""
    one = Platform("windows", "amd64", os_version="10.0.1", os_features=("a", "b"))

    assert one.normalized == Platform("windows", "amd64", "v1", "10.0.1", ("b", "a")).normalized
    assert one.normalized != Platform("windows", "amd64", os_version="10.0.2", os_features=("a", "b")).normalized


def test_from_an_images_own_words() -> None:
    """An image's own spelling, such as aarch64, compares like the usual one."""
    assert Platform("linux", "aarch64").normalized == Platform.parse("linux/arm64/v8").normalized


def test_lists_are_comma_separated_or_repeated() -> None:
    """Order stays, blanks and empty parts don't count."""
    found = parse_platforms(["linux/amd64, linux/arm64/v8", "", "linux/arm/v6,"])

    assert [str(platform) for platform in found] == ["linux/amd64", "linux/arm64/v8", "linux/arm/v6"]
    assert parse_platforms([""]) == ()


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["linux/arm64,linux/arm64/v8"], "linux/arm64 and linux/arm64/v8 are the same"),
        (["linux/arm/v7", "linux/arm"], "linux/arm/v7 and linux/arm are the same"),
        (["linux/amd64", "linux/amd64"], "linux/amd64 is asked for twice"),
        (["linux/x86_64,linux/amd64/v1"], "are the same"),
    ],
)
def test_the_same_machine_twice_is_refused(texts: list[str], said: str) -> None:
    """The second image would never be used: whoever asks for it is told which two are the same."""
    with pytest.raises(UsageError, match=said):
        parse_platforms(texts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@given(st.dictionaries(st.sampled_from(["os", "architecture", "variant", "os.version", "os.features"]), JSON))
def test_a_registrys_platform_object_never_fails(data: dict[str, object]) -> None:
    """Whatever stands in a descriptor's `platform`, reading it works, and what was read is written and read again."""
    platform = Platform.from_json(data)

    assert Platform.from_json(platform.to_json()) == platform
    assert platform.is_unknown == (data.get("os") == data.get("architecture") == "unknown")


def test_json_has_the_specs_keys() -> None:
    """All five fields of image-index.md are read and written."""
    data = {
        "architecture": "amd64",
        "os": "windows",
        "os.version": "10.0.14393.1066",
        "os.features": ["win32k"],
        "variant": "v1",
    }

    platform = Platform.from_json(data)

    assert list(platform.to_json().items()) == list(data.items())
    assert (platform.os_version, platform.os_features) == ("10.0.14393.1066", ("win32k",))


@pytest.mark.parametrize(
    ("short", "long"), [("arm64", "linux/arm64"), ("arm/v6", "linux/arm/v6"), ("x86_64", "linux/amd64")]
)
def test_an_architecture_alone_means_linux(short: str, long: str) -> None:
    """As with buildx, `arm64` is short for `linux/arm64`."""
    assert Platform.parse(short) == Platform.parse(long)
