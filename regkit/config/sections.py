"""The sections of a configuration, apart from `[publish.NAME]`: their keys, and what is made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regkit.config import kinds
from regkit.config.spec import (
    PROVIDERS,
    VENDORS,
    BuilderConfig,
    CleanupConfig,
    ReadmeConfig,
    RegistryConfig,
)
from regkit.config.table import Document, Key, Wrong, dotted
from regkit.errors import UsageError
from regkit.oci.platform import Platform

SCHEMES = ("docker-container", "kube-pod", "nerdctl-container", "podman-container", "ssh", "tcp", "unix")
"""The kinds of address that buildctl speaks."""


def _addr(value: Any, base: Path) -> str:
    found = kinds.text(value, base)
    scheme, separator, rest = found.partition("://")
    if scheme not in SCHEMES or not separator or not rest:
        raise Wrong("an address of BuildKit's, as 'tcp://host:1234' (" + ", ".join(SCHEMES) + ")")
    return found


BUILDER = {
    "addr": Key("string", "BuildKit's address, as buildctl's `--addr` takes it.", _addr),
    "tls-dir": Key("directory", "Its certificates for `tcp://`: ca.pem, cert.pem, key.pem.", kinds.existing_directory),
}
REGISTRY = {
    "plain-http": Key("true or false", "Ask it without TLS.", kinds.boolean),
    "ca-file": Key("file", "A PEM file with authorities that are trusted for it, too.", kinds.existing_file),
    "concurrency": Key("number", "How many requests are under way at once, at most.", kinds.whole(1)),
    "requests-per-second": Key("number", "How many requests are begun in a second, at most.", kinds.rate),
    "mirror": Key(
        "string or array",
        "`host[:port][/prefix]` that is read from first; the registry itself is asked where that has no answer.",
        kinds.mirrors,
    ),
    "vendor": Key("string", f"Whose it is: {', '.join(VENDORS)}.", kinds.choice(VENDORS)),
    "api": Key("string", "The address of the vendor's own API.", kinds.url),
}
CLEANUP = {
    "image": Key("string or array", "The repositories.", kinds.images),
    "match": Key("string", "Only tags that this regular expression matches as a whole.", kinds.expression),
    "keep": Key("number", "Keep so many of the newest images.", kinds.whole(0)),
    "keep-semver": Key("number", "Keep so many of the highest versions.", kinds.whole(0)),
    "older-than": Key("string", "Remove only what is older, as `30d` (m, h, d, w).", kinds.age),
    "untagged": Key("true or false", "Delete what the tags leave behind without a name, too.", kinds.boolean),
}
README = {
    "image": Key("string or array", "The repositories that it describes.", kinds.images),
    "file": Key("file", "The text, in Markdown.", kinds.existing_file),
    "short": Key("string", "The line above it.", kinds.text),
    "provider": Key("string", f"Who shows it: {', '.join(PROVIDERS)}.", kinds.choice(PROVIDERS)),
    "api": Key("string", "The address of its API.", kinds.url),
}


def read_builders(document: Document, value: Any) -> tuple[BuilderConfig, ...]:
    """Read `[builders]`: platform pattern → `{addr, tls-dir}`."""
    hint = 'write "linux/arm64" = { addr = "tcp://host:1234" }'
    found = []
    for pattern, entry in document.table(value, "builders", hint=hint).items():
        here = ("builders", pattern)
        try:
            check_pattern(pattern)
        except UsageError as error:
            raise document.error(here, f"{dotted(here)}: {error.message}", error.hint) from None
        read = document.read(document.table(entry, *here, hint=hint), BUILDER, *here)
        if "addr" not in read:
            raise document.error(here, f"{dotted(here)} has no addr", hint)
        if "tls-dir" in read and not read["addr"].startswith("tcp://"):
            raise document.error((*here, "tls-dir"), f"{dotted(here)}: tls-dir is for tcp:// addresses alone")
        found.append(BuilderConfig(pattern, read["addr"], read.get("tls-dir")))
    return tuple(found)


def read_registries(document: Document, value: Any) -> Mapping[str, RegistryConfig]:
    """Read the `[registry."HOST"]`, each under its host's normal form."""
    hint = 'write [registry."ghcr.io"], the host between quotes'
    found: dict[str, RegistryConfig] = {}
    for name, entry in document.table(value, "registry", hint=hint).items():
        here = ("registry", name)
        try:
            host = kinds.host(name, document.path.parent)
        except UsageError as error:
            raise document.error(here, error.message, hint) from None
        read = document.read(document.table(entry, *here, hint=hint), REGISTRY, *here)
        if host in found:
            raise document.error(here, f"[{dotted(here)}] is the registry {host}, which has a section already")
        if read.get("plain-http") and "ca-file" in read:
            raise document.error((*here, "ca-file"), f"[{dotted(here)}] has a ca-file, and plain-http needs none")
        mirrors = read.get("mirror", ())
        if host in mirrors:
            raise document.error((*here, "mirror"), f"[{dotted(here)}] is its own mirror")
        found[host] = RegistryConfig(
            host,
            read.get("plain-http", False),
            read.get("ca-file"),
            read.get("concurrency"),
            read.get("requests-per-second"),
            mirrors,
            read.get("vendor"),
            read.get("api"),
        )
    return found


def read_cleanups(document: Document, value: Any) -> tuple[CleanupConfig, ...]:
    """Read the `[cleanup.NAME]`."""
    hint = "write [cleanup.NAME], as [cleanup.nightly]"
    found = []
    for name, entry in document.table(value, "cleanup", hint=hint).items():
        here = ("cleanup", name)
        read = document.read(document.table(entry, *here, hint=hint), CLEANUP, *here)
        if not read.keys() & {"keep", "keep-semver", "older-than"} and not read.get("untagged"):
            raise document.error(
                here,
                f"[{dotted(here)}] says nothing of what is kept",
                "give keep, keep-semver or older-than; or untagged = true",
            )
        found.append(
            CleanupConfig(
                name,
                read.get("image", ()),
                read.get("match"),
                read.get("keep"),
                read.get("keep-semver"),
                read.get("older-than"),
                read.get("untagged", False),
            )
        )
    return tuple(found)


def read_readme(document: Document, value: Any) -> ReadmeConfig:
    """Read `[readme]`."""
    read = document.read(document.table(value, "readme", hint="write [readme]"), README, "readme")
    return ReadmeConfig(
        read.get("image", ()), read.get("file"), read.get("short"), read.get("provider"), read.get("api")
    )


def check_pattern(pattern: str) -> None:
    """Raise UsageError for what isn't a platform with stars in the place of parts: `linux/arm64`, `linux/*`, `*`."""
    parts = pattern.split("/")
    if pattern == "*" or (len(parts) == 2 and parts[1] == "*" and re.fullmatch("[a-z]+", parts[0])):
        return
    if len(parts) == 3 and parts[2] == "*":
        Platform.parse("/".join(parts[:2]))
        return
    Platform.parse(pattern)
