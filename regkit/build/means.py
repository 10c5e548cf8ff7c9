"""How something is built: where, with which caches and which secrets. Nothing of it is part of the source."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

from regkit.config.spec import BuilderConfig
from regkit.errors import UsageError
from regkit.oci.reference import Reference

Fields: TypeAlias = tuple[tuple[str, str], ...]
"""`key=value` pairs, as buildx writes many of its options."""

_ATTESTATIONS = ("provenance", "sbom")
_LOGINS = frozenset({"access_key_id", "account_key", "secret_access_key", "session_token", "token"})
"""Keys of caches whose values would stand in a command line that everybody on the machine can read."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What a `RUN --mount=type=secret` may read: a file, or a variable of the environment."""

    identifier: str
    path: Path | None = None
    variable: str = ""

    @property
    def words(self) -> str:
        """The value of buildctl's option; of the secret it says only where it is."""
        place = ("env", self.variable) if self.path is None else ("src", str(self.path))
        return join_fields((("id", self.identifier), place))


@dataclass(frozen=True, slots=True)
class Means:
    """Builders by platform, caches that are read and written, and secrets."""

    builders: tuple[BuilderConfig, ...] = ()
    cache_from: tuple[Fields, ...] = ()
    cache_to: tuple[Fields, ...] = ()
    secrets: tuple[Secret, ...] = ()

    @classmethod
    def read(
        cls,
        env: Mapping[str, str],
        *,
        builders: Sequence[BuilderConfig] = (),
        cache_from: Iterable[str] = (),
        cache_to: Iterable[str] = (),
        secrets: Iterable[str] = (),
    ) -> Self:
        """Read caches and secrets as buildx spells them; raise UsageError for what can't be meant."""
        return cls(
            tuple(builders),
            tuple(cache for text in cache_from for cache in parse_caches(text)),
            tuple(cache for text in cache_to for cache in parse_caches(text)),
            parse_secrets(secrets, env),
        )

    @property
    def images(self) -> tuple[Reference, ...]:
        """The repositories of caches, for which a builder needs logins."""
        caches = (dict(fields) for fields in (*self.cache_from, *self.cache_to))
        return tuple(Reference.parse(cache["ref"]) for cache in caches if cache.get("type") == "registry")


def parse_caches(text: str) -> tuple[Fields, ...]:
    """Read `type=registry,ref=NAME,…`, or names alone, which are caches in registries; raise UsageError."""
    parts = split_fields(text, "a cache")
    shown = sorted(_LOGINS & {part.partition("=")[0].strip().lower() for part in parts})
    if shown:
        raise UsageError(
            f"a cache's {shown[0]} would be shown to everybody on this machine, in a command line",
            hint="give it to the builder: buildkitd reads what its own environment says of the storage",
        )
    parsed: list[Fields]
    if not any("=" in part for part in parts):
        parsed = [(("type", "registry"), ("ref", part)) for part in parts]
    else:
        parsed = [tuple(_pair(part, text, "a cache") for part in parts)]
    for fields in parsed:
        found = dict(fields)
        if not found.get("type"):
            raise UsageError(f"the cache {text!r} has no type", hint="write type=registry,ref=NAME")
        if found["type"] == "registry":
            if not found.get("ref"):
                raise UsageError(f"the cache {text!r} names no image", hint="write type=registry,ref=NAME")
            Reference.parse(found["ref"])
    return tuple(parsed)


def parse_secrets(texts: Iterable[str], env: Mapping[str, str]) -> tuple[Secret, ...]:
    """Read `id=NAME[,src=FILE|,env=VARIABLE]`; without a place it's the variable of that name, else that file.

    Raise UsageError for one that isn't there. The secret itself is read by buildctl alone.
    """
    found: dict[str, Secret] = {}
    for text in texts:
        given = dict(_pair(part, "", "a secret") for part in split_fields(text, "a secret"))
        unknown = given.keys() - {"id", "src", "source", "env", "type"}
        identifier, kind = given.get("id", ""), given.get("type", "")
        if unknown or not identifier or kind not in ("", "file", "env"):
            raise UsageError("not a secret: it has no id, or says what isn't known", hint=_PLACES)
        place, variable = given.get("src") or given.get("source") or "", given.get("env", "")
        if kind == "env" and place:  # buildx: with type=env, src names the variable
            place, variable = "", place
        if not place and not variable:
            is_variable = kind != "file" and identifier in env
            place, variable = ("", identifier) if is_variable else (identifier, "")
        if variable and variable not in env:
            raise UsageError(f"the secret {identifier} is to be the variable {variable}, which isn't set", hint=_PLACES)
        if place and not Path(place).is_file():
            raise UsageError(f"the secret {identifier} is to be the file {place}, which isn't there", hint=_PLACES)
        found[identifier] = Secret(identifier, Path(place).absolute() if place else None, variable)
    return tuple(found.values())


def parse_attests(texts: Iterable[str]) -> tuple[tuple[str, Fields], ...]:
    """Read `type=provenance|sbom[,KEY=VALUE…]`; the last of a type wins, and `disabled=true` leaves it out."""
    found: dict[str, Fields] = {}
    for text in texts:
        fields = dict(_pair(part, text, "an attestation") for part in split_fields(text, "an attestation"))
        kind = fields.pop("type", "")
        if kind not in _ATTESTATIONS:
            raise UsageError(f"not an attestation: {text!r}", hint="write type=provenance,mode=max or type=sbom")
        off = fields.pop("disabled", "false")
        if off not in ("true", "false"):
            raise UsageError(f"not an attestation: {text!r}", hint="disabled is true or false")
        found.pop(kind, None)
        if off == "false":
            if "generator" in fields:
                Reference.parse(fields["generator"])
            found[kind] = tuple(fields.items())
    return tuple(found.items())


def parse_builder(text: str) -> BuilderConfig:
    """Read `PATTERN=ADDR[,tls-dir=DIR]`; raise UsageError."""
    from regkit.config.sections import SCHEMES, check_pattern

    pattern, equals, rest = text.partition("=")
    address, *more = split_fields(rest, "a builder") if rest else [""]
    scheme, separator, place = address.partition("://")
    if not equals or scheme not in SCHEMES or not separator or not place:
        raise UsageError(f"not a builder: {text!r}", hint=f"{_BUILDER}; there are {', '.join(SCHEMES)}")
    check_pattern(pattern)
    given = dict(_pair(part, text, "a builder") for part in more)
    tls_dir = given.pop("tls-dir", None)
    if given or (tls_dir and scheme != "tcp"):
        raise UsageError(f"not a builder: {text!r}", hint=f"{_BUILDER}; tls-dir is for tcp:// alone")
    if tls_dir and not Path(tls_dir).is_dir():
        raise UsageError(f"the builder's tls-dir {tls_dir} isn't a directory")
    return BuilderConfig(pattern, address, Path(tls_dir).absolute() if tls_dir else None)


def split_fields(text: str, what: str) -> list[str]:
    """Part a line of CSV; raise UsageError for none, or for more than one."""
    try:
        lines = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise UsageError(f"{what} can't be read: {error}") from None
    parts = [part.strip() for line in lines for part in line]
    if not parts or not all(parts):
        raise UsageError(f"{what} is empty, or has an empty part", hint="write KEY=VALUE,KEY=VALUE")
    return parts


def join_fields(fields: Fields) -> str:
    """Write pairs as a line of CSV."""
    return join_words(f"{key}={value}" for key, value in fields)


def join_words(words: Iterable[str]) -> str:
    """Join with commas as buildctl parts it: a line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(words)
    return line.getvalue()


_PLACES = "write id=NAME,src=FILE or id=NAME,env=VARIABLE"
_BUILDER = "write PATTERN=ADDR, as linux/arm64=tcp://arm.example:1234,tls-dir=certs"


def _pair(part: str, text: str, what: str) -> tuple[str, str]:
    key, equals, value = part.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"not {what}: {text or 'a part'!r} has a part without '='", hint="write KEY=VALUE,KEY=VALUE")
    return key.strip().lower(), value
