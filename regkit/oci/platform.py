"""Platforms: written as they were asked for, compared after normalising (image-spec, image-index.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from regkit.errors import UsageError

# Go's ports, as far as images exist for them (go.dev/doc/install/source#environment), with the variants that
# image-spec's table and the Go toolchain (GOARM, GOAMD64) name.
_VARIANTS: dict[str, tuple[str, ...]] = {
    "386": (),
    "amd64": ("v1", "v2", "v3", "v4"),
    "arm": ("v5", "v6", "v7", "v8"),
    "arm64": ("v8", "v9"),
    "loong64": (),
    "mips": (),
    "mips64": (),
    "mips64le": (),
    "mipsle": (),
    "ppc64": (),
    "ppc64le": (),
    "riscv64": (),
    "s390x": (),
    "wasm": (),
}
_ARCHITECTURES: dict[str, tuple[str, ...]] = {
    "linux": tuple(a for a in _VARIANTS if a != "wasm"),
    "windows": ("386", "amd64", "arm", "arm64"),
    "darwin": ("amd64", "arm64"),
    "freebsd": ("386", "amd64", "arm", "arm64", "riscv64"),
    "wasip1": ("wasm",),
}
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}
_IMPLIED_VARIANT = {"arm64": "v8", "arm": "v7", "amd64": "v1"}
_COMPONENT = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Platform:
    """`os/architecture[/variant]`; `os_version` and `os_features` as image-index.md defines them."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Give the usual spelling, with the variant as it was written."""
        return "/".join(filter(None, self.machine))

    @property
    def slug(self) -> str:
        """The spelling for tags and file names: `linux-arm-v6`."""
        return str(self).replace("/", "-")

    @property
    def normalized(self) -> Self:
        """Equal for platforms that mean the same machine: `arm64` is `arm64/v8`, `arm` is `arm/v7`."""
        architecture = _ALIASES.get(self.architecture, self.architecture)
        variant = self.variant or _IMPLIED_VARIANT.get(architecture, "")
        return type(self)(self.os, architecture, variant, self.os_version, tuple(sorted(self.os_features)))

    @property
    def machine(self) -> tuple[str, str, str]:
        """System, architecture and variant: all but the version and the features of the system."""
        return self.os, self.architecture, self.variant

    @property
    def is_unknown(self) -> bool:
        """Whether this is `unknown/unknown`, what BuildKit gives to attestations."""
        return self.os == self.architecture == "unknown"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `os/arch[/variant]`, or `arch[/variant]` for Linux; raise UsageError for what isn't a known platform."""
        parts = text.strip().lower().split("/")
        if _ALIASES.get(parts[0], parts[0]) in _VARIANTS:
            parts.insert(0, "linux")
        if len(parts) not in (2, 3) or not all(_COMPONENT.fullmatch(part) for part in parts):
            raise UsageError(f"not a platform: {text!r}", hint="write os/arch or os/arch/variant, as linux/arm/v6")
        os, architecture, variant = parts[0], _ALIASES.get(parts[1], parts[1]), "".join(parts[2:])
        if os not in _ARCHITECTURES:
            raise UsageError(f"unknown platform {text!r}: no system {os!r}", hint=_known(_ARCHITECTURES))
        if architecture not in _ARCHITECTURES[os]:
            raise UsageError(
                f"unknown platform {text!r}: {os} has no architecture {architecture!r}",
                hint=_known(_ARCHITECTURES[os]),
            )
        if variant and variant not in _VARIANTS[architecture]:
            raise UsageError(
                f"unknown platform {text!r}: {architecture} has no variant {variant!r}",
                hint=_known(_VARIANTS[architecture]) if _VARIANTS[architecture] else f"write {os}/{architecture}",
            )
        return cls(os, architecture, variant)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a descriptor's `platform` object; what isn't text counts as absent."""

        def text(key: str) -> str:
            value = data.get(key)
            return value if isinstance(value, str) else ""

        features = data.get("os.features")
        return cls(
            text("os"),
            text("architecture"),
            text("variant"),
            text("os.version"),
            tuple(f for f in features if isinstance(f, str)) if isinstance(features, list) else (),
        )

    @classmethod
    def of_config(cls, document: object) -> Self | None:
        """Read the platform from an image's parsed configuration (image-spec, config.md); None where it tells none."""
        found = cls.from_json(document) if isinstance(document, dict) else None
        return found if found is not None and found.os and found.architecture else None

    def to_json(self) -> dict[str, Any]:
        """Give a descriptor's `platform` object, in image-index.md's order."""
        data: dict[str, Any] = {"architecture": self.architecture, "os": self.os}
        if self.os_version:
            data["os.version"] = self.os_version
        if self.os_features:
            data["os.features"] = list(self.os_features)
        if self.variant:
            data["variant"] = self.variant
        return data


def parse_platforms(texts: Iterable[str]) -> tuple[Platform, ...]:
    """Read lists of platforms, comma-separated or repeated; the same machine twice raises UsageError."""
    platforms: list[Platform] = []
    for text in (part.strip() for item in texts for part in item.split(",")):
        if not text:
            continue
        platform = Platform.parse(text)
        twin = next((p for p in platforms if p.normalized == platform.normalized), None)
        if twin is not None:
            same = "" if str(twin) == str(platform) else f" ({twin} and {platform} are the same)"
            raise UsageError(f"the platform {platform} is asked for twice{same}", hint="name each platform once")
        platforms.append(platform)
    return tuple(platforms)


def _known(names: Iterable[str]) -> str:
    return "known are " + ", ".join(names)
