"""Credentials: which a host gets, and where they came from.

`DOCKER_USERNAME` and `DOCKER_PASSWORD` are for Docker Hub alone; every other host gets what Docker's
configuration names for exactly this host and port.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from regkit.errors import UsageError
from regkit.oci.reference import DOCKER_HUB
from regkit.protocol.auth import Login

HUB_KEY = "https://index.docker.io/v1/"
_MAX_SIZE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """All logins, by host; the passwords are in no repr. `searched` says where they were looked for."""

    logins: Mapping[str, Login] = field(default_factory=dict, repr=False)
    searched: str = "no configuration"

    def for_host(self, host: str) -> Login | None:
        """Give the login of exactly this host, or None."""
        return self.logins.get(host)

    @classmethod
    def load(cls, env: Mapping[str, str]) -> Credentials:
        """Read the environment and Docker's `config.json`; raise UsageError where that can't be read."""
        directory = env.get("DOCKER_CONFIG") or str(Path(env.get("HOME") or "~").expanduser() / ".docker")
        path = Path(directory) / "config.json"
        logins = dict(_read_docker_config(path))
        username, password = env.get("DOCKER_USERNAME"), env.get("DOCKER_PASSWORD")
        if username and password:
            logins[DOCKER_HUB] = Login(username, password, "DOCKER_USERNAME and DOCKER_PASSWORD")
        return cls(MappingProxyType(logins), str(path))


def _read_docker_config(path: Path) -> dict[str, Login]:
    try:
        if path.stat().st_size > _MAX_SIZE:
            raise UsageError(f"{path} is larger than a Docker configuration can be")
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        hint = "fix its owner or mode, or set DOCKER_CONFIG"
        raise UsageError(f"{path} can't be read: {error.strerror}", hint=hint) from None
    except (ValueError, RecursionError):
        raise UsageError(f"{path} isn't valid JSON", hint="fix it, or set DOCKER_CONFIG") from None
    auths = document.get("auths") if isinstance(document, dict) else None
    if not isinstance(auths, dict):
        return {}
    logins = {}
    for key, entry in auths.items():
        login = _login(entry, f"{path}")
        if login is not None:
            logins[_host(key)] = login
    return logins


def _host(key: str) -> str:
    """Reduce a key of `auths` to `host[:port]`: Docker writes bare hosts, older versions whole URLs."""
    if key in (HUB_KEY, "index.docker.io", "registry-1.docker.io"):
        return DOCKER_HUB
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _login(entry: object, origin: str) -> Login | None:
    if not isinstance(entry, dict):
        return None
    auth, username, password = entry.get("auth"), entry.get("username"), entry.get("password")
    if isinstance(auth, str) and auth:
        try:
            username, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
        except ValueError:
            raise UsageError(f"{origin} holds an 'auth' that isn't base64 of user:password") from None
        password = password.rstrip("\0")
    if isinstance(username, str) and username and isinstance(password, str) and password:
        return Login(username, password, origin)
    return None
