"""Which builder builds what: patterns of platforms, who is there, and what it serves. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from regkit.build.address import Address
from regkit.build.means import Fields, Means
from regkit.build.spec import BuildSpec
from regkit.build.workers import serves
from regkit.config.spec import BuilderConfig
from regkit.errors import Unavailable
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference

_EXACT = 3

Answers: TypeAlias = Mapping[Address, tuple[Platform, ...] | Unavailable]
"""What each builder says that it serves, or why it says nothing."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one builder builds; `address` is None for what no pattern names."""

    address: Address | None
    platforms: tuple[Platform, ...]


class Assignment(NamedTuple):
    """Shares, each builder's once, in the order of the platforms; and what is odd about them, in sentences."""

    shares: tuple[Share, ...]
    remarks: tuple[str, ...]


def candidates(
    platform: Platform, builders: Sequence[BuilderConfig], answers: Answers | None = None
) -> tuple[Address, ...]:
    """Give the builders whose pattern fits, each once: the most exact pattern first, else in the given order.

    A pattern with a star leaves it open: of those that are as exact, one that needs no emulator comes first.
    """
    fitting = [
        (_exactness(builder.pattern), Address(builder.addr, builder.tls_dir))
        for builder in builders
        if matches(builder.pattern, platform)
    ]
    native = {address: _is_native(_said(answers or {}, address), platform) for _, address in fitting}
    ordered = sorted(fitting, key=lambda found: (-found[0], found[0] < _EXACT and not native[found[1]]))
    return tuple(dict.fromkeys(address for _, address in ordered))


def matches(pattern: str, platform: Platform) -> bool:
    """Compare a platform with `linux/arm64`, `linux/arm/*`, `linux/*` or `*`; `arm64` is `arm64/v8`."""
    if pattern == "*":
        return True
    machine = platform.normalized.machine
    *above, last = pattern.split("/")
    if last != "*":
        return machine == Platform.parse(pattern).normalized.machine
    wanted = above if len(above) == 1 else Platform.parse("/".join(above)).machine[:2]
    return machine[: len(wanted)] == tuple(wanted)


def assign(platforms: Sequence[Platform], builders: Sequence[BuilderConfig], answers: Answers) -> Assignment:
    """Give each platform to the first of its builders that is there and serves it, else to the first that is there.

    Raise Unavailable where none of a platform's builders is there.
    """
    shares: dict[Address | None, list[Platform]] = {}
    remarks: dict[str, None] = {}
    for platform in platforms:
        wanted = candidates(platform, builders, answers)
        there = [address for address in wanted if not isinstance(answers[address], Unavailable)]
        if wanted and not there:
            raise _none_there(platform, wanted, answers)
        serving = [address for address in there if serves(_said(answers, address), platform)]
        chosen = next(iter([*serving, *there]), None)
        shares.setdefault(chosen, []).append(platform)
        for address in wanted[: wanted.index(chosen)] if chosen else ():
            lost = answers[address]
            why = lost.message if isinstance(lost, Unavailable) else f"{address} doesn't serve it"
            remarks[f"{platform} is built at {chosen}: {why}"] = None
        if chosen and not serving:
            remarks[f"{chosen} doesn't say that it serves {platform}: a RUN may fail there"] = None
    return Assignment(tuple(Share(address, tuple(found)) for address, found in shares.items()), tuple(remarks))


def share_of(spec: BuildSpec, share: Share, *, alone: bool) -> BuildSpec:
    """Give what one builder is asked for.

    Several builders that write one cache would write over each other. So each writes its own, whose tag also names its
    first platform, and reads those of all its platforms beside the ones that are asked for.
    """
    means = spec.means
    if alone:
        return replace(spec, platforms=share.platforms)
    own = Means(
        means.builders,
        tuple(dict.fromkeys(own for cache in means.cache_from for own in (cache, *_of_all(cache, share.platforms)))),
        tuple(_of(cache, share.platforms[0]) for cache in means.cache_to),
        means.secrets,
    )
    return replace(spec, platforms=share.platforms, means=own)


def _of_all(cache: Fields, platforms: Sequence[Platform]) -> tuple[Fields, ...]:
    return tuple(_of(cache, platform) for platform in platforms)


def _of(cache: Fields, platform: Platform) -> Fields:
    """Give a platform's own cache, where it's one in a registry."""
    found = dict(cache)
    if found["type"] != "registry":
        return cache
    image = Reference.parse(found["ref"])
    own = f"{image.name}:{image.tag or 'latest'}-{platform.slug}"
    return tuple((key, own if key == "ref" else value) for key, value in cache)


def _exactness(pattern: str) -> int:
    return _EXACT if "*" not in pattern else pattern.count("/")


def _is_native(served: Sequence[Platform], platform: Platform) -> bool:
    """Tell by the first platform that a builder names: BuildKit lists whatever it can emulate behind it."""
    return bool(served) and served[0].machine[:2] == platform.machine[:2]


def _said(answers: Answers, address: Address) -> tuple[Platform, ...]:
    found = answers.get(address, ())
    return () if isinstance(found, Unavailable) else found


def _none_there(platform: Platform, wanted: Sequence[Address], answers: Answers) -> Unavailable:
    reasons = "; ".join(str(answers[address]) for address in wanted)
    hint = (
        "give its platforms a second builder, whose pattern is less exact: \"*\" = { addr = … }, or --builder '*=ADDR'"
    )
    return Unavailable(f"no builder is there for {platform}: {reasons}", hint=hint)
