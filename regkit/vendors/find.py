"""Which vendor a host belongs to: by configuration, by its name, or by what it asks for at a login."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from regkit.errors import Refused, UsageError
from regkit.protocol.auth import Challenge
from regkit.vendors.capability import HARBOR, TABLE, Traits
from regkit.vendors.vendor import Vendor

_HARBOR_SERVICE = "harbor-registry"


def named(name: str) -> Traits:
    """Give a registry's row by its name; raise UsageError for another name."""
    for row in TABLE:
        if row.name == name:
            return row
    raise UsageError(f"no such vendor: {name[:80]!r}", hint=f"write one of {', '.join(row.name for row in TABLE)}")


def by_host(host: str) -> Traits | None:
    """Give the row of a host (`name[:port]`) that a vendor runs; None for any other host."""
    name = (urlsplit(f"//{host}").hostname or "").lower()
    return next((row for row in TABLE if any(fnmatchcase(name, pattern) for pattern in row.hosts)), None)


def by_challenges(challenges: Iterable[Challenge]) -> Traits | None:
    """Give the row of a registry that one recognises by what it asks for; None for any other."""
    services = {challenge.parameters.get("service", "") for challenge in challenges}
    return HARBOR if _HARBOR_SERVICE in services else None


def vendor_of(row: Traits) -> Vendor:
    """Give the API of a registry; raise Refused for one that has none, or none that regkit may use."""
    if not row.has_api:
        why = f" {row.unsafe}" if row.unsafe else " has no API of its own"
        raise Refused(f"{row.title}{why}", hint=row.instead or None)
    from regkit.vendors.dockerhub import DockerHub
    from regkit.vendors.ghcr import Ghcr
    from regkit.vendors.gitlab import GitLab
    from regkit.vendors.harbor import Harbor
    from regkit.vendors.quay import Quay

    kinds: tuple[type[Vendor], ...] = (DockerHub, Ghcr, GitLab, Harbor, Quay)
    return next(kind() for kind in kinds if kind.capabilities is row)
