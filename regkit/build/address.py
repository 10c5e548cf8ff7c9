"""Where a BuildKit is, as buildctl is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from regkit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Address:
    """An address of any kind that buildctl speaks; `tls_dir` has ca.pem, cert.pem and key.pem for `tcp://`.

    Raise UsageError for one of another kind.
    """

    url: str
    tls_dir: Path | None = None

    def __post_init__(self) -> None:
        from regkit.config.sections import SCHEMES

        scheme, separator, place = self.url.partition("://")
        if scheme not in SCHEMES or not separator or not place:
            raise UsageError(
                f"{self.url[:80]!r} isn't an address of BuildKit's: those begin with {'://, '.join(SCHEMES)}://",
                hint="write BUILDKIT_HOST, or --addr, as tcp://HOST:PORT or unix:///FILE",
            )

    def __str__(self) -> str:
        """Give the address alone."""
        return self.url

    @property
    def words(self) -> tuple[str, ...]:
        """The words of buildctl's command line."""
        return ("--addr", self.url, *(("--tlsdir", str(self.tls_dir)) if self.tls_dir else ()))
