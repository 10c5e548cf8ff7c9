"""Annotation keys (image-spec, annotations.md), and the ones that are regkit's own."""

from __future__ import annotations

from collections.abc import Iterable

from regkit.errors import UsageError

CREATED = "org.opencontainers.image.created"
REVISION = "org.opencontainers.image.revision"
VERSION = "org.opencontainers.image.version"
REF_NAME = "org.opencontainers.image.ref.name"

SOURCE_DIGEST = "vnd.regkit.source.digest"
"""The digest of all that a build was made from: context, Dockerfile, target, arguments."""

_LEVELS = ("index", "index-descriptor", "manifest", "manifest-descriptor")


def parse_annotations(texts: Iterable[str]) -> dict[str, str]:
    """Read `KEY=VALUE` and `index:KEY=VALUE` as annotations of the index; the value may hold `=`."""
    annotations: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        level, colon, rest = key.partition(":")
        if colon and level.partition("[")[0] in _LEVELS:
            if level != "index":
                raise UsageError(
                    f"annotations at {level!r} can't be set by this publish: {text!r}",
                    hint=f"write index:{rest}={value} or {rest}={value}",
                )
            key = rest
        if not equals or not key:
            raise UsageError(f"not an annotation: {text!r}", hint="write KEY=VALUE")
        annotations[key] = value
    return annotations
