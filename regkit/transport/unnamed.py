"""A configuration that nobody named: what it does with logins is told, or isn't done.

It was found in a project, which may be one that was only looked into. `--config FILE` names one, and so trusts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from regkit.events import Note
from regkit.protocol.auth import locality

if TYPE_CHECKING:
    from regkit.config.spec import Config


def exposure(found: Config, host: str) -> Note | None:
    """Tell how the login for a host is less safe for what a configuration says of it; None where it isn't.

    In plain http it is a warning, except in places where nobody expects certificates: private names and addresses.
    """
    said = found.registries.get(host)
    if said is None:
        return None
    if said.plain_http and not locality(_name(host)):
        return Note(f"the login for {host} goes in the clear, as {found.path} says with plain-http", warning=True)
    if said.ca_file:
        return Note(f"the login for {host} goes to whom {said.ca_file} vouches for, as {found.path} says")
    return None


def built_away(found: Config, address: str) -> Note | None:
    """Warn of a builder's address that a configuration gives, and that is at a public name: builders ask for logins.

    BuildKit reads base images itself, and its client answers when it asks for whom.
    """
    host = urlsplit(address).hostname or ""
    if not host or address not in {builder.addr for builder in found.builders}:
        return None
    if not address.startswith(("tcp://", "ssh://")) or locality(host):
        return None
    text = f"the builder at {address}, which {found.path} names, gets the source, and logins that it asks for"
    return Note(text, warning=True)


def leads_away(found: Config, host: str, address: str) -> bool:
    """Tell whether a configuration gives `address` for an API, and it is at another host than the registry `host`.

    A host above the registry's isn't another: `gitlab.example.com` of `registry.gitlab.example.com`.
    """
    there, here = _name(urlsplit(address).netloc), _name(host)
    given = {_name(urlsplit(api).netloc) for api in found.apis}
    above = "." in there and here.endswith(f".{there}")
    return there in given and there != here and not above


def _name(host: str) -> str:
    return (urlsplit(f"//{host}").hostname or "").rstrip(".")
