"""A configuration that nobody named reaches nothing outside of its project.

It was found in a project that may only have been checked out, so anybody may have written it. What it asks for beyond
the project's own files is refused: files elsewhere and variables of the environment (`regkit.ops.found`), and, here,
logins for whom nobody else named. `--config FILE` names one, and so trusts it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from regkit.config.find import project_of
from regkit.errors import UsageError
from regkit.events import Note
from regkit.protocol.auth import locality

if TYPE_CHECKING:
    from regkit.config.spec import Config


def naming(found: Config) -> str:
    """Give the hint of every refusal."""
    return f"if that is right, name the file: --config {found.path}, or REGKIT_CONFIG"


def leads_out(found: Config, path: Path) -> bool:
    """Tell whether a path leads out of the project, links followed, or into git's own directory, which keeps logins."""
    assert found.path is not None
    root = project_of(found.path).resolve()
    try:
        below = path.resolve().relative_to(root)
    except (ValueError, OSError, RuntimeError):  # elsewhere, or a link that leads in a circle
        return True
    return ".git" in below.parts


def exposure(found: Config, host: str) -> Note | None:
    """Tell how the login for a host is less safe for what a configuration says of it; None where it isn't.

    Raise UsageError where it would go in plain http, except to places where nobody expects certificates: private names
    and addresses.
    """
    said = found.registries.get(host)
    if said is None:
        return None
    if said.plain_http and not locality(_name(host)):
        raise UsageError(
            f"{found.path} would send the login for {host} in the clear, with plain-http",
            hint=f"{naming(found)}; or say it yourself: --plain-http {host}",
        )
    if said.ca_file:
        return Note(f"the login for {host} goes to whom {said.ca_file} vouches for, as {found.path} says")
    return None


def check_builder(found: Config, address: str) -> None:
    """Raise UsageError for a builder's address that a configuration gives, and that is at a public name.

    Builders get the source, and ask for logins: BuildKit reads base images itself, and its client answers when it asks
    for whom.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    away = host and parts.scheme in ("tcp", "ssh") and not locality(host)
    if away or parts.netloc.startswith("-") or host.startswith("-"):  # an option, to the program that goes there
        raise UsageError(
            f"{found.path} would send the source, and logins, to the builder at {address}", hint=naming(found)
        )


def check_shared(found: Config) -> None:
    """Raise UsageError where a builder that stays would read registries as a configuration says, for whatever project.

    Mirrors, authorities and plain http decide what it takes for an image.
    """
    for host, said in found.registries.items():
        if said.mirrors or said.plain_http or said.ca_file:
            raise UsageError(
                f"{found.path} would have the builder that stays read {host} as it says, for other projects, too",
                hint=f"{naming(found)}; or use none: --config /dev/null",
            )


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
