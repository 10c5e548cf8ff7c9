"""What a `[publish.NAME]` of a configuration that nobody named may say: what is done with the project, and no more.

Whoever may have written it, it reaches nothing outside of the project: no file, no variable of the environment, no
storage that the machine's own logins open, no builder that would get them (`regkit.transport.unnamed`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from regkit.oci.reference import Reference
from regkit.transport.unnamed import check_builder, leads_out, naming

if TYPE_CHECKING:
    from regkit.config.spec import Config


def check_entry(
    found: Config, name: str, values: Mapping[str, object], env: Mapping[str, str], paths: Collection[str]
) -> None:
    """Raise UsageError, with file and line, for a value that reaches out of the project; `paths` are keys of paths."""
    assert found.document is not None
    for key, value in values.items():
        reasons = _READERS.get(key) or (_of_path if key in paths else _nothing)
        for text in map(str, value if isinstance(value, list) else [value]):
            reason = next(reasons(found, text, env), None)
            if reason is not None:
                raise found.document.error(("publish", name, key), f"publish.{name}.{key} {reason}", naming(found))


def _of_path(found: Config, text: str, _env: Mapping[str, str]) -> Iterator[str]:
    yield from _outside(found, Path(text))


def _nothing(_found: Config, _text: str, _env: Mapping[str, str]) -> Iterator[str]:
    yield from ()


def _of_argument(_found: Config, text: str, _env: Mapping[str, str]) -> Iterator[str]:
    if "=" not in text:
        yield f"takes the variable {text} from the environment"


def _of_secret(found: Config, text: str, env: Mapping[str, str]) -> Iterator[str]:
    from regkit.build.means import parse_secrets

    for secret in parse_secrets([text], env):
        if secret.path is None:
            yield f"takes the variable {secret.variable} from the environment"
        else:
            yield from _outside(found, secret.path)


def _of_cache(found: Config, text: str, _env: Mapping[str, str]) -> Iterator[str]:
    """Give what is outside of a cache: other storages than registries and directories are opened by own logins.

    GitHub's is the exception, where its address is GitHub's word.
    """
    from regkit.build.means import parse_caches

    for fields in parse_caches(text):
        kind, keys = dict(fields)["type"], [key for key, _ in fields]
        if kind not in ("registry", "inline", "local", "gha") or (kind == "gha" and any("url" in key for key in keys)):
            yield f"sends this machine's own logins to the storage of a cache: {text}"
        if any("insecure" in key for key in keys):
            yield f"sends logins in the clear: {text}"
        for key, value in fields:
            if kind == "local" and key in ("src", "dest"):
                yield from _outside(found, Path(value))


def _of_builder(found: Config, text: str, _env: Mapping[str, str]) -> Iterator[str]:
    from regkit.build.means import parse_builder

    check_builder(found, parse_builder(text).addr)
    yield from ()


def _of_source(found: Config, text: str, _env: Mapping[str, str]) -> Iterator[str]:
    from regkit.ops.images import read_location

    if text != "-":
        place = read_location(text).place
        if not isinstance(place, Reference):
            yield from _outside(found, place if isinstance(place, Path) else place.path)


def _outside(found: Config, path: Path) -> Iterator[str]:
    if leads_out(found, path):
        yield f"leads out of the project: {path}"


_READERS: Mapping[str, Callable[[Config, str, Mapping[str, str]], Iterator[str]]] = {
    "build-arg": _of_argument,
    "secret": _of_secret,
    "cache-from": _of_cache,
    "cache-to": _of_cache,
    "builder": _of_builder,
    "from": _of_source,
}
"""What reads a key's value, where that is more than a path, and gives what is outside of the project."""
