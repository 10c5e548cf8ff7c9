"""Keeping logins: in Docker's `config.json`, or with the credential helper that it names."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regkit.errors import UsageError
from regkit.files import write_whole
from regkit.protocol.auth import Login
from regkit.transport.credentials import HELPER_LIMIT, docker_config_file
from regkit.transport.credentials_config import Config, key_of, parse_document, place, read_file

_Document = dict[str, Any]


def store_login(env: Mapping[str, str], host: str, login: Login, *, helper_limit: float = HELPER_LIMIT) -> str:
    """Keep a login for a host; give where. Raise UsageError where that can't be done; then all is as it was."""
    path = docker_config_file(env)
    config = Config.read(path) or Config(str(path))
    helper = config.helper_for(host, env, helper_limit)
    if helper is not None:
        helper.store(key_of(host), login)
    entry = {} if helper else entry_of(login)  # an empty one says that the helper has something for the host
    _change(path, lambda document: _set(document, host, entry))
    return f"{helper.program} ({path})" if helper else str(path)


def erase_login(env: Mapping[str, str], host: str, *, helper_limit: float = HELPER_LIMIT) -> bool:
    """Forget the login that Docker's configuration or its helper has for a host; False where there is none."""
    path = docker_config_file(env)
    config = Config.read(path)
    if config is None:
        return False
    helper = config.helper_for(host, env, helper_limit)
    erased = helper is not None and helper.erase(key_of(host))
    if host in config.hosts:
        erased |= host in config.logins
        _change(path, lambda document: _set(document, host, None))
    return erased


def lend(directory: Path, logins: Mapping[str, Login]) -> Path:
    """Write a DOCKER_CONFIG with these logins into a new directory; nobody else can read it."""
    directory.mkdir(mode=0o700)
    auths = {key_of(host): entry_of(login) for host, login in logins.items()}
    _write(directory / "config.json", {"auths": auths})
    return directory


def entry_of(login: Login) -> dict[str, str]:
    """Write a login as `auths` holds it."""
    if login.registry_token:
        return {"registrytoken": login.registry_token}
    if login.identity_token:
        return {"identitytoken": login.identity_token}
    return {"auth": login.header.removeprefix("Basic ")}


def _set(document: _Document, host: str, entry: dict[str, str] | None) -> None:
    """Replace what `auths` has for a host, under whatever spelling; None takes it away."""
    there = document.get("auths")
    auths = there if isinstance(there, dict) else {}
    kept = {key: value for key, value in auths.items() if place(key) != host}
    document["auths"] = kept if entry is None else {**kept, key_of(host): entry}


def _change(path: Path, change: Callable[[_Document], None]) -> None:
    """Change a configuration, one process at a time: a reader sees the old file or the new one, never half of it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path.parent):
            target = path.resolve()  # dotfiles are often links
            data = read_file(target)
            document = {} if data is None else parse_document(data, str(path))
            change(document)
            _write(target, document)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}", hint="fix its owner or mode") from None


def _write(path: Path, document: _Document) -> None:
    """Write a file of mode 0600 in one step."""
    write_whole(path, [json.dumps(document, indent="\t").encode() + b"\n"], mode=0o600)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
