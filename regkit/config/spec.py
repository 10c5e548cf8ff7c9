"""What a configuration says, as frozen values; paths in it are whole, hosts in their normal form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regkit.config.table import Document

VENDORS = (
    "distribution",
    "distribution2",
    "zot",
    "dockerhub",
    "ghcr",
    "gitlab",
    "harbor",
    "quay",
    "ecr",
    "gar",
    "acr",
)
"""The kinds of registry that `regkit.vendors` tells apart."""

PROVIDERS = ("dockerhub", "harbor", "quay")
"""Those that show a README."""


@dataclass(frozen=True, slots=True)
class PublishConfig:
    """A `[publish.NAME]`: values for the parameters of the command, by the parameters' names."""

    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BuilderConfig:
    """A line of `[builders]`: which platforms (`linux/arm64`, `linux/*`, `*`) are built at an address of BuildKit's."""

    pattern: str
    addr: str
    tls_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """A `[registry."HOST"]`; `mirrors` are `host[:port][/prefix]`, asked in this order before HOST itself."""

    host: str
    plain_http: bool = False
    ca_file: Path | None = None
    concurrency: int | None = None
    requests_per_second: float | None = None
    mirrors: tuple[str, ...] = ()
    vendor: str | None = None
    api: str | None = None


@dataclass(frozen=True, slots=True)
class CleanupConfig:
    """A `[cleanup.NAME]`: what is kept of `images`, and from which age on the rest goes."""

    name: str
    images: tuple[str, ...] = ()
    match: str | None = None
    keep: int | None = None
    keep_semver: int | None = None
    older_than: timedelta | None = None
    untagged: bool = False


@dataclass(frozen=True, slots=True)
class ReadmeConfig:
    """The `[readme]`: which file describes which images, and where that is told."""

    images: tuple[str, ...] = ()
    file: Path | None = None
    short: str | None = None
    provider: str | None = None
    api: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration, in the file's order; `path` is None where there is no file."""

    path: Path | None = None
    publish: tuple[PublishConfig, ...] = ()
    builders: tuple[BuilderConfig, ...] = ()
    registries: Mapping[str, RegistryConfig] = field(default_factory=dict)
    cleanups: tuple[CleanupConfig, ...] = ()
    readme: ReadmeConfig | None = None
    document: Document | None = None
    """The file's text, for errors that come later."""
