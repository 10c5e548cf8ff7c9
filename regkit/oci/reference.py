"""References: `registry/repository[:tag][@digest]`, in Docker's normal form (distribution/reference)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from regkit.errors import UsageError
from regkit.oci.digest import Digest

DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_BARE_HOST = re.compile(r"localhost|[^/:]*\.[^/:]*|\[[0-9a-fA-F:]+\]|[^/]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5}")
_API = re.compile(r"(?:https?://)?([^/]+)/?(?:v[12]/?)?")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::(?P<port>[0-9]{{1,5}}))?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HINT = "write registry/repository[:tag][@digest], as ghcr.io/owner/name:1.2"


@dataclass(frozen=True, slots=True)
class Reference:
    """Where content is named. `tag` and `digest` are each optional; the digest wins where both are given."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        """Give the full name, `docker.io/library/…` spelled out."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def name(self) -> str:
        """`registry/repository`."""
        return f"{self.registry}/{self.repository}"

    @property
    def identifier(self) -> str:
        """What a registry is asked for: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference; raise UsageError for what isn't one."""
        if "://" in text:
            raise UsageError(f"not an image reference: {text!r} is a URL", hint=_HINT)
        rest, at, digest = text.partition("@")
        tag: str | None = None
        head, colon, tail = rest.rpartition(":")
        if colon and "/" not in tail:
            rest, tag = head, check_tag(tail)
        registry, repository = _split(rest)
        host = _HOST.fullmatch(registry)
        if host is None or int(host["port"] or 0) > 65535:
            raise UsageError(f"not an image reference: {text!r} has no valid registry host", hint=_HINT)
        if not _REPOSITORY.fullmatch(repository) or len(repository) > 255:
            lower = " (names are lower case)" if repository != repository.lower() else ""
            raise UsageError(f"not an image reference: {text!r} has no valid repository name{lower}", hint=_HINT)
        return cls(registry, repository, tag, Digest(digest) if at else None)

    @classmethod
    def parse_name(cls, text: str) -> Self:
        """Read a repository's name; raise UsageError where a tag or digest follows it."""
        reference = cls.parse(text)
        if reference.tag or reference.digest:
            host, _, port = text.partition(":")
            if port.isdecimal() and "/" not in text and ("." in host or host == "localhost"):
                raise UsageError(f"{text!r} is a registry, and no repository in it", hint=f"write {text}/NAME")
            raise UsageError(f"{text!r} names more than a repository", hint=f"write {reference.name}")
        return reference


def parse_place(text: str) -> tuple[str, Reference | None]:
    """Read a registry's host or a reference; give the host as references have it. Raise UsageError for neither.

    A host has a dot or a port, or is `localhost`; its URL, as Docker's configuration has it, is the same.
    """
    api = _API.fullmatch(text)
    if api is not None and _BARE_HOST.fullmatch(api[1]):
        return Reference.parse(f"{api[1]}/any/repository").registry, None
    reference = Reference.parse(text)
    return reference.registry, reference


def check_tag(text: str) -> str:
    """Give back a valid tag; raise UsageError for any other text (distribution-spec, Pulling manifests)."""
    if not _TAG.fullmatch(text):
        raise UsageError(
            f"not a tag: {text[:140]!r}",
            hint="a tag is up to 128 letters, digits, '_', '.' and '-', and begins with none of the last two",
        )
    return text


def is_loopback(host: str) -> bool:
    """Tell whether `host[:port]` is this machine: localhost, 127.0.0.0/8, ::1."""
    name = urlsplit(f"//{host}").hostname or ""
    return name in ("localhost", "::1") or bool(re.fullmatch(r"127(?:\.\d{1,3}){3}", name))


def _split(name: str) -> tuple[str, str]:
    """Part registry and repository: a first word with a dot, a colon, a capital, or `localhost`, is a host."""
    first, slash, rest = name.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first or first != first.lower()):
        registry, repository = first, rest
    else:
        registry, repository = DOCKER_HUB, name
    if registry.lower() in _HUB_NAMES:
        registry = DOCKER_HUB
        if "/" not in repository:
            repository = f"library/{repository}"
    return registry, repository
