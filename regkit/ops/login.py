"""Logging in and out, and who one is: proven by the registry before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from regkit.errors import AccessDenied, UsageError
from regkit.oci.reference import Reference, parse_place
from regkit.protocol.auth import Login, ask_challenges
from regkit.protocol.check import check
from regkit.protocol.flow import Scope
from regkit.transport.credentials import Credentials
from regkit.transport.credentials_store import erase_login, store_login
from regkit.transport.session import Session


@dataclass(frozen=True, slots=True)
class Kept:
    """A login that was kept: where; `proven` where the registry asked for it; `behind` names what comes before it."""

    host: str
    username: str
    where: str
    proven: bool
    behind: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who one is at a registry. `demands` are the schemes that it asks for; none where it lets everybody in."""

    host: str
    username: str | None
    origin: str
    demands: tuple[str, ...]
    refusal: str = ""
    """What it says to those whom it doesn't let in."""


@dataclass(frozen=True, slots=True)
class Known:
    """A login that is configured for a host."""

    host: str
    username: str | None
    origin: str


def parse_registry(text: str) -> str:
    """Read `HOST[:PORT]`, or its URL; raise UsageError for anything else, or for what names more."""
    host, repository = parse_login_place(text)
    if repository:
        raise UsageError(f"{text!r} names more than a registry", hint=f"write {host}")
    return host


def parse_login_place(text: str) -> tuple[str, str]:
    """Read a host, or a repository; give the host, and the repository or "". A single word is no host."""
    host, reference = parse_place(text)
    if reference is None:
        return host, ""
    if "/" not in text:
        raise UsageError(f"not a registry: {text!r}", hint="write HOST[:PORT], as ghcr.io; Docker Hub is docker.io")
    return host, Reference.parse_name(text).repository


def login(session: Session, host: str, username: str, password: str, *, env: Mapping[str, str]) -> Kept:
    """Prove a login, then keep it in Docker's configuration or with its helper.

    Raise AccessDenied where the registry doesn't take it; then nothing is written.
    """
    if not username or ":" in username or _has_controls(username):
        raise UsageError("a user's name has at least a character, and neither colons nor control characters")
    if not password or _has_controls(password):
        raise UsageError(
            "a password has at least a character, and no control characters nor further lines",
            hint="it is one line: printenv TOKEN | regkit login HOST --username NAME --password-stdin",
        )
    new = Login(username, password, "this login")
    found = _identify(session, host, "", new)
    if found.refusal:
        raise AccessDenied(
            f"{host} doesn't let the user {username!r} in: {found.refusal}",
            hint="nothing was written; check the name, and that a token given as password hasn't expired",
        )
    where = store_login(env, host, new)
    now = Credentials.load(env).for_host(host)
    behind = now.origin if now and now.origin != where else ""
    return Kept(host, username, where, bool(found.demands), behind)


def logout(host: str, *, env: Mapping[str, str]) -> tuple[bool, str]:
    """Forget what Docker's configuration or its helper has for a host.

    Tell whether it had something, and which other source still has a login ("" where none has).
    """
    erased = erase_login(env, host)
    left = Credentials.load(env).for_host(host)
    return erased, left.origin if left else ""


def whoami(session: Session, host: str, repository: str = "") -> Identity:
    """Tell who one is at a registry, from where, and whether it lets that one in."""
    return _identify(session, host, repository, session.credentials.for_host(host, repository))


def known_logins(credentials: Credentials) -> tuple[Known, ...]:
    """List the hosts that the configuration speaks of; no registry is asked, helpers are."""
    found = ((host, credentials.for_host(host)) for host in credentials.hosts)
    return tuple(Known(host, login.username if login else None, login.origin if login else "") for host, login in found)


def _has_controls(text: str) -> bool:
    return any(character < " " or character == "\x7f" for character in text)


def _identify(session: Session, host: str, repository: str, login: Login | None) -> Identity:
    """Ask a registry what it demands, and then with this one login."""
    credentials = Credentials({host: login} if login else {}, session.credentials.searched)
    username = login.username if login else None
    origin = login.origin if login else session.credentials.searched
    with Session(
        credentials,
        plain_http=session.named_plain,
        ca_file=session.ca_file,
        registries=session.registries,
        found=session.found,
        report=session.report,
    ) as asking:
        demands = tuple(challenge.scheme for challenge in asking.run(host, ask_challenges()))
        try:
            asking.run(host, check(Scope(repository, "pull") if repository else None))
        except AccessDenied as error:
            return Identity(host, username, origin, demands, error.message)
    return Identity(host, username, origin, demands)
