"""Who builds what: pure decisions over patterns and answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from regkit.build.address import Address
from regkit.build.fleet import Share, assign, candidates, matches, share_of
from regkit.build.means import Means, Secret, parse_caches
from regkit.build.spec import BuildSpec
from regkit.config.spec import BuilderConfig
from regkit.errors import Unavailable
from regkit.oci.platform import Platform, parse_platforms

AMD64, ARM64, ARM6 = PLATFORMS = parse_platforms(["linux/amd64,linux/arm64/v8,linux/arm/v6"])
A, B, C = (Address(f"tcp://{name}:1234") for name in "abc")
GONE = Unavailable("gone")


def builders(**patterns: str) -> tuple[BuilderConfig, ...]:
    """Name builders a, b, c by their patterns."""
    return tuple(BuilderConfig(pattern, f"tcp://{name}:1234") for name, pattern in patterns.items())


@pytest.mark.parametrize(
    ("pattern", "platform", "expected"),
    [
        ("*", "windows/amd64", True),
        ("linux/*", "linux/s390x", True),
        ("linux/*", "windows/amd64", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64", "linux/arm64/v9", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm", "linux/arm/v6", False),
        ("linux/arm/*", "linux/arm/v6", True),
        ("linux/arm/*", "linux/arm64", False),
    ],
)
def test_pattern(pattern: str, platform: str, *, expected: bool) -> None:
    """Stars stand for parts; without one, variants are compared after normalising."""
    assert matches(pattern, Platform.parse(platform)) is expected


def test_more_exact_patterns_come_first() -> None:
    """Whatever their order; those that are as exact come as they are given, and each builder once."""
    found = candidates(ARM6, builders(a="*", b="linux/*", c="linux/arm/v6"))
    assert found == (C, B, A)
    assert candidates(ARM6, (*builders(a="*", b="*"), BuilderConfig("linux/arm/*", A.url))) == (A, B)
    assert candidates(ARM6, builders(a="linux/amd64")) == ()


def test_native_builder_comes_first_where_a_star_leaves_it_open() -> None:
    """An exact pattern leaves nothing open: its first builder is the one that was meant."""
    answers = {A: (AMD64, ARM64), B: (ARM64, AMD64)}

    assert candidates(ARM64, builders(a="*", b="*"), answers) == (B, A)
    assert candidates(AMD64, builders(a="linux/*", b="*"), answers) == (A, B)
    assert candidates(ARM64, builders(a="linux/*", b="*"), answers) == (A, B)
    assert candidates(ARM64, builders(a="linux/arm64", b="linux/arm64"), answers) == (A, B)


def test_each_builder_has_one_share() -> None:
    """Of all its platforms, in the order in which they were asked for; what no pattern names has no builder."""
    answers = {A: PLATFORMS, B: PLATFORMS}
    known = builders(a="linux/amd64", b="linux/arm64")

    assigned = assign(PLATFORMS, (*known, BuilderConfig("linux/arm/*", A.url)), answers)

    assert assigned.shares == (Share(A, (AMD64, ARM6)), Share(B, (ARM64,)))
    assert assigned.remarks == ()
    assert assign(PLATFORMS, known, answers).shares[2] == Share(None, (ARM6,))


def test_absent_builder_is_told_and_passed_over() -> None:
    """With its reason; without another one it's an error that names both."""
    known = builders(a="linux/arm64", b="*")

    assigned = assign([ARM64], known, {A: GONE, B: (ARM64,)})

    assert assigned.shares == (Share(B, (ARM64,)),)
    assert assigned.remarks == (f"{ARM64} is built at {B}: gone",)
    with pytest.raises(Unavailable, match=f"no builder is there for {ARM64}: gone; gone"):
        assign([ARM64], known, {A: GONE, B: GONE})


def test_builder_that_does_not_serve_it_is_passed_over() -> None:
    """A fallback that does comes before it; where none does, it's tried, and said."""
    known = builders(a="linux/arm64", b="*")

    assigned = assign([ARM64], known, {A: (AMD64,), B: (ARM64,)})
    alone = assign([ARM64], known[:1], {A: (AMD64,)})

    assert assigned.shares == (Share(B, (ARM64,)),)
    assert assigned.remarks == (f"{ARM64} is built at {B}: {A} doesn't serve it",)
    assert alone.shares == (Share(A, (ARM64,)),)
    assert alone.remarks == (f"{A} doesn't say that it serves {ARM64}: a RUN may fail there",)


def test_share_alone_is_the_whole() -> None:
    """One builder's caches have the names that were asked for."""
    spec = BuildSpec(
        Path("/c"), Path("/c/Dockerfile"), PLATFORMS, means=Means((), parse_caches("h/c"), parse_caches("h/c"))
    )

    assert share_of(spec, Share(A, PLATFORMS), alone=True) == spec


def test_shares_have_caches_of_their_own() -> None:
    """In a registry, by tag; what is read is also what was asked for, and what isn't in a registry stays as it is."""
    other = parse_caches("type=gha,scope=x")
    means = Means(
        builders(a="*"),
        (*parse_caches("registry.example/c:main"), *other),
        (*parse_caches("type=registry,ref=registry.example/c:main,mode=max"), *other),
        (Secret("s", None, "S"),),
    )
    spec = BuildSpec(Path("/c"), Path("/c/Dockerfile"), PLATFORMS, means=means)

    own = share_of(spec, Share(A, (ARM64, ARM6)), alone=False)

    assert own.platforms == (ARM64, ARM6)
    refs = [dict(cache).get("ref", "") for cache in own.means.cache_from]
    name = "registry.example/c:main"
    assert refs == [name, f"{name}-linux-arm64-v8", f"{name}-linux-arm-v6", ""]
    assert own.means.cache_to == (
        (("type", "registry"), ("ref", f"{name}-linux-arm64-v8"), ("mode", "max")),
        *other,
    )
    assert (own.means.builders, own.means.secrets) == (means.builders, means.secrets)
