"""The JSON in which Docker and podman keep logins: read once, asked by host and repository."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from regkit.errors import UsageError
from regkit.oci.reference import DOCKER_HUB
from regkit.protocol.auth import TOKEN_USER, Login
from regkit.protocol.flow import read_bounded

if TYPE_CHECKING:
    from regkit.transport.credentials_helper import Helper

HUB_KEY = "https://index.docker.io/v1/"
_HUB_HOSTS = ("index.docker.io", "registry-1.docker.io")
_MAX_SIZE = 4 * 1024 * 1024
_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Config(NamedTuple):
    """One configuration: `logins` by `host[:port]` or `host/path`, and which helper keeps a host's.

    `hosts` are all that it speaks of, also those that are empty because a helper keeps their logins.
    """

    origin: str
    logins: Mapping[str, Login] = _EMPTY
    hosts: tuple[str, ...] = ()
    helpers: Mapping[str, str] = _EMPTY
    store: str = ""
    exposed: bool = False
    """Whether others on this machine may read the logins that it holds."""

    @classmethod
    def parse(cls, text: bytes | str, origin: str) -> Config:
        """Read a document; raise UsageError where that can't be done: silence would mean anonymous access."""
        document = parse_document(text, origin)
        auths = _object(document, "auths", origin)
        keys = sorted(auths, key=lambda key: key == place(key))  # the exact spelling comes last, and wins
        found = {place(key): login for key in keys if (login := _login(auths[key], origin)) is not None}
        named = _object(document, "credHelpers", origin)
        helpers = {place(key): name for key, name in named.items() if isinstance(name, str)}
        store = document.get("credsStore")
        hosts = dict.fromkeys(place(key).partition("/")[0] for key in (*auths, *helpers))
        return cls(
            origin,
            MappingProxyType(found),
            tuple(hosts),
            MappingProxyType(helpers),
            store if isinstance(store, str) else "",
        )

    @classmethod
    def read(cls, path: Path) -> Config | None:
        """Read a file; None where there is none."""
        data = read_file(path)
        if data is None:
            return None
        found = cls.parse(data, str(path))
        return found._replace(exposed=bool(found.logins and path.stat().st_mode & 0o044))

    def helper_for(self, host: str, env: Mapping[str, str], limit: float) -> Helper | None:
        """Give the helper that keeps this host's login, if one does."""
        name = self.helpers.get(host, self.store)
        if not name:
            return None
        from regkit.transport.credentials_helper import Helper  # and with it subprocess: most have no helper

        return Helper(name, self.origin, env, limit)

    def within(self, host: str, repository: str) -> Login | None:
        """Give the login of this very repository, else of the nearest path above it; not that of the whole host."""
        while repository:
            if login := self.logins.get(f"{host}/{repository}"):
                return login
            repository = repository.rpartition("/")[0]
        return None


def parse_document(text: bytes | str, origin: str) -> dict[str, Any]:
    """Read a JSON object; raise UsageError where it isn't one."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{origin} isn't valid JSON", hint=_hint(origin)) from None
    if not isinstance(document, dict):
        raise UsageError(f"{origin} holds something else than a configuration", hint=_hint(origin))
    return document


def key_of(host: str) -> str:
    """Give the key under which Docker keeps a host's login."""
    return HUB_KEY if host == DOCKER_HUB else host


def place(key: str) -> str:
    """Reduce a key to `host[:port]`, or to podman's `host[:port]/path`; older Docker versions write whole URLs."""
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, slash, path = bare.partition("/")
    host = DOCKER_HUB if host in _HUB_HOSTS else host
    if bare != key.rstrip("/") or path in ("v1", "v2"):
        return host
    return f"{host}{slash}{path}"


def read_file(path: Path) -> bytes | None:
    """Read a configuration file; None where there is none. Raise UsageError for one that can't be read."""
    try:
        with path.open("rb") as file:
            data = read_bounded(file, _MAX_SIZE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        hint = "fix its owner or mode, or set DOCKER_CONFIG"
        raise UsageError(f"{path} can't be read: {error.strerror}", hint=hint) from None
    if data is None:
        raise UsageError(f"{path} is larger than a configuration can be")
    return data


def _object(document: Mapping[str, Any], name: str, origin: str) -> Mapping[str, Any]:
    found = document.get(name)
    if found is not None and not isinstance(found, dict):
        raise UsageError(f"{origin} has {name!r} that aren't an object", hint=_hint(origin))
    return found or _EMPTY


def _hint(origin: str) -> str:
    return "fix it, or set DOCKER_CONFIG" if "/" in origin else "it holds what Docker's config.json does"


def _login(entry: object, origin: str) -> Login | None:
    if not isinstance(entry, dict):
        return None
    username, password = _text(entry, "username"), _text(entry, "password")
    if auth := _text(entry, "auth"):
        try:
            username, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
        except ValueError:
            raise UsageError(f"{origin} holds an 'auth' that isn't base64 of user:password") from None
        password = password.rstrip("\0")
    identity, ready = _text(entry, "identitytoken"), _text(entry, "registrytoken")
    if identity or ready:
        return Login(username or TOKEN_USER, "", origin, identity, ready)
    return Login(username, password, origin) if username and password else None


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""
