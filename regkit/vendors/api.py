"""A vendor's API, opened for a repository: where it is, and with which login."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from regkit.errors import AccessDenied, RegkitError, UsageError, harmless
from regkit.events import Note
from regkit.oci.reference import Reference, is_loopback
from regkit.protocol.auth import Login, ask_challenges
from regkit.protocol.flow import Flow
from regkit.transport.endpoint import Endpoint, check_base
from regkit.transport.session import Session
from regkit.transport.unnamed import leads_away
from regkit.vendors.capability import Traits
from regkit.vendors.find import by_challenges, by_host, named, vendor_of

if TYPE_CHECKING:
    from regkit.config.spec import Config, RegistryConfig

T = TypeVar("T")


class VendorApi:
    """Runs a vendor's flows for one repository, `api.run(api.vendor.list_tags(api.repository))`; threads may share it.

    `base` is where the API is. No error that it raises has a secret in it, whatever was answered.
    """

    def __init__(self, session: Session, reference: Reference, row: Traits, base: str) -> None:
        self.name, self.repository = reference.name, reference.repository
        self.vendor = vendor_of(row)
        self.base = check_base(base, session)
        self.login = login_for(session, reference, self.base)
        self._registry = reference.registry
        self._searched = session.credentials.searched
        self._access = self.vendor.access(self.login)
        self._endpoint = Endpoint(session, self.base, self._access)

    def run(self, flow: Flow[T]) -> T:
        """Run a flow; an AccessDenied says who was asking."""
        try:
            return self._endpoint.run(flow)
        except RegkitError as error:
            if isinstance(error, AccessDenied):
                error.message = f"{self.name}: {error.message}, for {self._who()}"
                error.hint = error.hint if self.login else f"log in to {self._registry}"
            for secret in self._access.secrets:
                error.message = error.message.replace(secret, "***")
                error.hint = error.hint.replace(secret, "***") if error.hint else None
            error.args = (error.message,)
            raise

    def _who(self) -> str:
        if self.login is None:
            return f"anonymous (no login in {self._searched})"
        return f"the user {self.login.username!r} from {self.login.origin}"


def connect(session: Session, reference: Reference, *, vendor: str = "", api: str = "") -> VendorApi:
    """Open the API of the vendor that has a repository; `vendor` and `api` are what a user says of it.

    Raise UsageError where it isn't known whose it is or where its API is, Refused where there is none to be used.
    """
    row = recognise(session, reference.registry, vendor)
    if row is None:
        raise UsageError(
            f"it isn't known whose registry {reference.registry} is, and so where its API is",
            hint=f'write vendor = "…" in [registry."{reference.registry}"]: dockerhub, ghcr, gitlab, harbor or quay',
        )
    opened = VendorApi(session, reference, row, api or default_base(session, reference.registry, row))
    if api and row.api != api.rstrip("/"):
        session.report(
            Note(f"the login for {reference.registry} goes to {row.title}'s API at {harmless(api)}, as configured")
        )
    return opened


def configured(registries: Mapping[str, RegistryConfig], host: str) -> tuple[str, str]:
    """Give what a configuration says of a registry: its vendor's name, and where its API is; "" for nothing."""
    said = registries.get(host)
    return (said.vendor or "", said.api or "") if said else ("", "")


def recognise(session: Session, host: str, vendor: str = "") -> Traits | None:
    """Tell whose a registry is: as `vendor` says, by its name, or by what it answers; None for an unknown one."""
    if vendor:
        return named(vendor)
    return by_host(host) or by_challenges(session.run(host, ask_challenges()))


def default_base(session: Session, host: str, row: Traits) -> str:
    """Give the API's address: the vendor's, or the registry's own; raise UsageError where that can't be known."""
    if row.api and by_host(host) is row:
        return row.api
    if row.api:
        raise UsageError(
            f"where the API of {row.title} is for {host} isn't known",
            hint=f'give its address: api = "https://…" in [registry."{host}"]',
        )
    plain = host in session.plain_http or is_loopback(host)
    return f"{'http' if plain else 'https'}://{host}"


def login_for(session: Session, reference: Reference, base: str) -> Login | None:
    """Find the login for an API: one that is kept for its address, else the registry's own for this repository.

    The address is looked up as a registry's would be: `hub.docker.com`, `quay.io/api/v1`. Raise UsageError where a
    configuration that nobody named leads the registry's login to another host.
    """
    credentials = session.credentials
    host = urlsplit(base).netloc
    if host == reference.registry:
        own = session.login(host, reference.repository)
        of_api = credentials.for_host(host, "api/v1")
        return own if of_api == credentials.for_host(host) else of_api
    of_api = credentials.for_host(host)
    own = None if of_api else session.login(reference.registry, reference.repository)
    if own is not None and session.found is not None and _leads_away(session.found, reference.registry, base):
        raise UsageError(
            f"{session.found.path} would send the login for {reference.registry} to {host[:200]}",
            hint=f"if that is right, name the file: --config {session.found.path}, or REGKIT_CONFIG",
        )
    return of_api or own


def _leads_away(found: Config, registry: str, base: str) -> bool:
    """Tell whether a configuration leads to an API that is neither beside its registry nor the vendor's own."""
    row = by_host(registry)
    return (row is None or base != row.api) and leads_away(found, registry, base)
