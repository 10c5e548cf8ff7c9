"""What a configuration says, as frozen values; paths in it are whole, hosts in their normal form.

Named tuples: a class of them is made in a tenth of the time of a data class, at every start that asks a registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

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


class PublishConfig(NamedTuple):
    """A `[publish.NAME]`: values for the parameters of the command, by the parameters' names."""

    name: str
    values: Mapping[str, Any]


class BuilderConfig(NamedTuple):
    """A line of `[builders]`: which platforms (`linux/arm64`, `linux/*`, `*`) are built at an address of BuildKit's."""

    pattern: str
    addr: str
    tls_dir: Path | None = None


class RegistryConfig(NamedTuple):
    """A `[registry."HOST"]`; `mirrors` are `host[:port][/prefix]`, asked in this order before HOST itself."""

    host: str
    plain_http: bool = False
    ca_file: Path | None = None
    concurrency: int | None = None
    requests_per_second: float | None = None
    mirrors: tuple[str, ...] = ()
    vendor: str | None = None
    api: str | None = None


class CleanupConfig(NamedTuple):
    """A `[cleanup.NAME]`: what is kept of `images`, and from which age on the rest goes."""

    name: str
    images: tuple[str, ...] = ()
    match: str | None = None
    keep: int | None = None
    keep_semver: int | None = None
    older_than: timedelta | None = None
    untagged: bool = False


class ReadmeConfig(NamedTuple):
    """The `[readme]`: which file describes which images, and where that is told."""

    images: tuple[str, ...] = ()
    file: Path | None = None
    short: str | None = None
    provider: str | None = None
    api: str | None = None


class Config(NamedTuple):
    """A whole configuration, in the file's order; `path` is None where there is no file."""

    path: Path | None = None
    publish: tuple[PublishConfig, ...] = ()
    builders: tuple[BuilderConfig, ...] = ()
    registries: Mapping[str, RegistryConfig] = MappingProxyType({})
    cleanups: tuple[CleanupConfig, ...] = ()
    readme: ReadmeConfig | None = None
    document: Document | None = None
    """The file's text, for errors that come later."""

    @property
    def apis(self) -> tuple[str, ...]:
        """The addresses of vendors' APIs that it gives."""
        said = [*(each.api for each in self.registries.values()), self.readme.api if self.readme else None]
        return tuple(filter(None, said))
