"""What a vendor's API can be asked for, the same for all of them; flows, without I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from regkit.errors import Refused
from regkit.oci.digest import Digest
from regkit.protocol.auth import Login
from regkit.protocol.flow import Flow
from regkit.vendors.access import Access
from regkit.vendors.capability import Shown, Traits

PAGE_SIZE = 100
"""What all of them allow."""


@dataclass(frozen=True, slots=True)
class VendorTag:
    """A tag as a vendor lists it; None for what the list doesn't tell. `updated` has a time zone."""

    name: str
    digest: str | None = None
    updated: datetime | None = None
    immutable: bool | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """A repository's texts: the page, and the line above it; None for one that isn't meant, or isn't there."""

    full: str | None = None
    short: str | None = None


class Vendor(ABC):
    """A vendor's API. A flow raises AccessDenied with the scope that is missing as its hint, NotFound, Unavailable.

    What a vendor can't do is Refused, by this class.
    """

    capabilities: Traits

    @abstractmethod
    def access(self, login: Login | None) -> Access:
        """Give the authorization for a login; None asks anonymously. Raise AccessDenied for one that can't be used."""

    @abstractmethod
    def list_tags(self, repository: str) -> Flow[tuple[VendorTag, ...]]:
        """List all tags, with what the list tells; none of a repository that doesn't exist."""

    @abstractmethod
    def look_up_tag(self, repository: str, tag: str) -> Flow[VendorTag | None]:
        """Ask for one tag, with its date, where lists have none; None where it isn't there."""

    def immutable_tags(self, repository: str, tags: Iterable[str]) -> Flow[frozenset[str]]:
        """Tell which of these tags can be neither moved nor deleted, by the vendor's own rules."""
        del repository, tags
        yield from ()
        return frozenset()

    def delete_tag(self, repository: str, tag: str) -> Flow[None]:
        """Remove a tag and nothing else; one that isn't there is removed. Raise Refused for an immutable one."""
        raise Refused(f"{self.capabilities.title} can't remove {tag} of {repository} alone by its API")

    def delete_version(self, repository: str, tag: str, digest: Digest) -> Flow[None]:
        """Remove the manifest `digest` with `tag`; raise Refused unless that is the only tag on it."""
        del digest
        raise Refused(f"{self.capabilities.title} knows no versions, so {tag} of {repository} stays")

    def read_description(self, repository: str) -> Flow[Description]:
        """Read what is shown for a repository; raise NotFound where there is none."""
        del repository
        raise self._describes_nothing()

    def write_description(self, repository: str, text: Description) -> Flow[None]:
        """Replace the texts that aren't None; raise NotFound."""
        del repository, text
        raise self._describes_nothing()

    def _describes_nothing(self) -> Refused:
        return describes_nothing(self.capabilities)


def describes_nothing(registry: Traits) -> Refused:
    """Give the error for a registry that takes no README."""
    if registry.shown is Shown.INDEX:
        return Refused(
            f"{registry.title} takes no README: it shows {registry.shown.value.replace('`', '')}",
            hint="publish with --annotation 'index:org.opencontainers.image.description=…'",
        )
    return Refused(f"{registry.title} shows no README", hint="leave it out of the images that get one")
