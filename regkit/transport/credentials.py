"""Credentials: which a host gets, and where they came from.

The first of these that has a login for exactly this host and port wins, and `Login.origin` names it:

1. `DOCKER_USERNAME` and `DOCKER_PASSWORD`, for Docker Hub alone;
2. `DOCKER_AUTH_CONFIG`, the JSON itself;
3. `REGISTRY_AUTH_FILE`; without it podman's `$XDG_RUNTIME_DIR/containers/auth.json`, then
   `$XDG_CONFIG_HOME/containers/auth.json` (`~/.config` by default);
4. Docker's `config.json`, in `DOCKER_CONFIG` or `~/.docker`.

Within one of them: the repository's own login, the most specific first; the host's `credHelpers`; `credsStore`; the
host's login in the document itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from regkit.errors import UsageError
from regkit.oci.reference import DOCKER_HUB
from regkit.protocol.auth import Login
from regkit.transport.credentials_config import HUB_KEY, Config, key_of

__all__ = ["HELPER_LIMIT", "HUB_KEY", "Credentials", "docker_config_file"]

HELPER_LIMIT = 30.0
"""How long a credential helper may take, in seconds."""

_NONE: Mapping[str, Login] = MappingProxyType({})


class Credentials:
    """All logins; what is secret is in no repr. Threads may share it.

    `logins` are at hand, and come before those of `configs`; a helper runs when its host is asked for, once.
    `searched` says where logins were looked for.
    """

    def __init__(
        self,
        logins: Mapping[str, Login] = _NONE,
        searched: str = "no configuration",
        configs: Iterable[Config] = (),
        *,
        env: Mapping[str, str] = MappingProxyType({}),
        helper_limit: float = HELPER_LIMIT,
    ) -> None:
        self._given = MappingProxyType(dict(logins))
        self._configs = tuple(configs)
        self.searched = searched
        self._env = env
        self._limit = helper_limit
        self._kept: dict[tuple[str, str], Login | UsageError | None] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Credentials({sorted(self.logins)}, {self.searched!r})"

    @property
    def logins(self) -> Mapping[str, Login]:
        """What is known without a helper, by host."""
        found: dict[str, Login] = {}
        for config in reversed(self._configs):
            found.update((place, login) for place, login in config.logins.items() if "/" not in place)
        return MappingProxyType({**found, **self._given})

    @property
    def hosts(self) -> tuple[str, ...]:
        """All hosts that the configuration speaks of, also those whose logins a helper keeps."""
        return tuple(sorted({*self._given, *(host for config in self._configs for host in config.hosts)}))

    @property
    def exposed(self) -> tuple[str, ...]:
        """The files with logins that others on this machine may read."""
        return tuple(config.origin for config in self._configs if config.exposed)

    def for_host(self, host: str, repository: str = "") -> Login | None:
        """Give the login for a repository of exactly this host, or for the host as a whole; None where there is none.

        Raise UsageError where the helper that keeps it fails: anonymous access would be a surprise.
        """
        if host in self._given:
            return self._given[host]
        for config in self._configs:
            if login := config.within(host, repository) or self._ask(config, host) or config.logins.get(host):
                return login
        return None

    def _ask(self, config: Config, host: str) -> Login | None:
        """Ask the helper, once; what failed before fails again at once."""
        with self._lock:
            key = (config.origin, host)
            if key not in self._kept:
                try:
                    helper = config.helper_for(host, self._env, self._limit)
                    self._kept[key] = helper.get(key_of(host)) if helper else None
                except UsageError as error:
                    self._kept[key] = error
            kept = self._kept[key]
        if isinstance(kept, UsageError):
            raise UsageError(kept.message, hint=kept.hint)
        return kept

    @classmethod
    def load(cls, env: Mapping[str, str], *, helper_limit: float = HELPER_LIMIT) -> Credentials:
        """Read the environment and the files that it names; raise UsageError where those can't be read."""
        username, password = env.get("DOCKER_USERNAME"), env.get("DOCKER_PASSWORD")
        logins: dict[str, Login] = {}
        if username and password:
            logins[DOCKER_HUB] = Login(username, password, "DOCKER_USERNAME and DOCKER_PASSWORD")
        configs = tuple(_configs(env))
        named = [env.get("REGISTRY_AUTH_FILE", ""), str(docker_config_file(env))]  # also where there is no file
        searched = dict.fromkeys([*(config.origin for config in configs), *filter(None, named)])
        return cls(logins, ", ".join(searched), configs, env=env, helper_limit=helper_limit)


def docker_config_file(env: Mapping[str, str]) -> Path:
    """Tell where Docker keeps its configuration."""
    return Path(env.get("DOCKER_CONFIG") or _home(env) / ".docker") / "config.json"


def _configs(env: Mapping[str, str]) -> Iterator[Config]:
    if text := env.get("DOCKER_AUTH_CONFIG"):
        yield Config.parse(text, "DOCKER_AUTH_CONFIG")
    for path in (*_podman_files(env), docker_config_file(env)):
        if config := Config.read(path):
            yield config


def _podman_files(env: Mapping[str, str]) -> Iterator[Path]:
    if named := env.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
        return
    if runtime := env.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    yield Path(env.get("XDG_CONFIG_HOME") or _home(env) / ".config") / "containers" / "auth.json"


def _home(env: Mapping[str, str]) -> Path:
    return Path(env.get("HOME") or "~").expanduser()
