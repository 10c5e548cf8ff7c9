"""Where a BuildKit is, as buildctl is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Address:
    """An address of any kind that buildctl speaks; `tls_dir` has ca.pem, cert.pem and key.pem for `tcp://`."""

    url: str
    tls_dir: Path | None = None

    def __str__(self) -> str:
        """Give the address alone."""
        return self.url

    @property
    def words(self) -> tuple[str, ...]:
        """The words of buildctl's command line."""
        return ("--addr", self.url, *(("--tlsdir", str(self.tls_dir)) if self.tls_dir else ()))
