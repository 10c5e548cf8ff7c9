"""Annotation keys (image-spec, annotations.md), and the ones that are regkit's own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from regkit.errors import UsageError
from regkit.oci.platform import Platform

CREATED = "org.opencontainers.image.created"
REVISION = "org.opencontainers.image.revision"
VERSION = "org.opencontainers.image.version"
REF_NAME = "org.opencontainers.image.ref.name"

SOURCE_DIGEST = "vnd.regkit.source.digest"
"""The digest of all that a build was made from: context, Dockerfile, target, arguments."""

# image-spec, annotations.md: org.opencontainers.image.ref.name; and the tags that it leaves out, as `_x`.
_COMPONENT = r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
_REF_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*|[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}")

_LEVELS = ("index", "index-descriptor", "manifest", "manifest-descriptor")
_LEVEL = r"(?:index-descriptor|index|manifest-descriptor|manifest)(?:\[[^\]]*\])?"
_PREFIX = re.compile(rf"({_LEVEL}(?:,{_LEVEL})*):(.*)", re.DOTALL)


def check_ref_name(text: str) -> str:
    """Give back what `REF_NAME` may hold: a tag, or `x/y:1` and the like; raise UsageError for any other text."""
    if not _REF_NAME.fullmatch(text):
        raise UsageError(
            f"not a name in a layout: {text[:140]!r}",
            hint="a name is a tag, or letters and digits with single '-', '.', '_', ':', '@', '+' or '/' between them",
        )
    return text


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


@dataclass(frozen=True, slots=True)
class Annotation:
    """A key and its value, and where they are to stand.

    `level` is `index`, `index-descriptor` (what a layout's own index says of it) or `manifest-descriptor`: what the
    index says of its images, or only of the one for `platform`.
    """

    level: str
    key: str
    value: str
    platform: Platform | None = None


def parse_levels(texts: Iterable[str]) -> tuple[Annotation, ...]:
    """Read `[LEVEL[PLATFORM],…:]KEY=VALUE` as buildx writes it; without a level it is the index's own."""
    return tuple(annotation for text in texts for annotation in _parse_levels(text))


def _parse_levels(text: str) -> Iterable[Annotation]:
    found = _PREFIX.fullmatch(text)
    levels, rest = (found[1], found[2]) if found else ("index", text)
    key, equals, value = rest.partition("=")
    if not equals or not key:
        raise UsageError(f"not an annotation: {text!r}", hint="write KEY=VALUE, or LEVEL:KEY=VALUE")
    for word in levels.split(","):
        level, bracket, platform = word.rstrip("]").partition("[")
        if level == "manifest":
            raise UsageError(
                f"{text!r} would change an image's own bytes, and with them its digest",
                hint=f"what the index says of it is written as manifest-descriptor:{rest}",
            )
        if bracket and level != "manifest-descriptor":
            raise UsageError(f"{text!r} names a platform, and an index has none", hint=f"write {level}:{rest}")
        yield Annotation(level, key, value, Platform.parse(platform) if bracket else None)
