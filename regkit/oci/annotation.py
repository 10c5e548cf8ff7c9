"""Annotation keys (image-spec, annotations.md), and the ones that are regkit's own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from regkit.errors import UsageError
from regkit.oci.platform import Platform

CREATED = "org.opencontainers.image.created"
DESCRIPTION = "org.opencontainers.image.description"
LICENSES = "org.opencontainers.image.licenses"
REVISION = "org.opencontainers.image.revision"
SOURCE = "org.opencontainers.image.source"
TITLE = "org.opencontainers.image.title"
URL = "org.opencontainers.image.url"
VERSION = "org.opencontainers.image.version"
REF_NAME = "org.opencontainers.image.ref.name"

SOURCE_DIGEST = "vnd.regkit.source.digest"
"""The digest of all that a build was made from: context, Dockerfile, target, arguments."""

# image-spec, annotations.md: org.opencontainers.image.ref.name; and the tags that it leaves out, as `_x`.
_COMPONENT = r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
_REF_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*|[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}")

_LEVEL = r"(?:index-descriptor|index|manifest-descriptor|manifest)(?:\[[^\]]*\])?"
_PREFIX = rf"({_LEVEL}(?:,{_LEVEL})*):(.*)"


def check_ref_name(text: str) -> str:
    """Give back what `REF_NAME` may hold: a tag, or `x/y:1` and the like; raise UsageError for any other text."""
    if not _REF_NAME.fullmatch(text):
        raise UsageError(
            f"not a name in a layout: {text[:140]!r}",
            hint="a name is a tag, or letters and digits with single '-', '.', '_', ':', '@', '+' or '/' between them",
        )
    return text


class Annotation(NamedTuple):
    """A key and its value, and where they are to stand.

    `level` is `index`, `index-descriptor` (what is said of the index, as by a layout's own), `manifest` (what an image
    says of itself) or `manifest-descriptor` (what the index says of it); the latter two of all images, or only of the
    one for `platform`.
    """

    level: str
    key: str
    value: str
    platform: Platform | None = None

    def __str__(self) -> str:
        """Write it as buildx does, with its level."""
        platform = f"[{self.platform}]" if self.platform else ""
        return f"{self.level}{platform}:{self.key}={self.value}"


def parse_levels(texts: Iterable[str], *, images: bool = False) -> tuple[Annotation, ...]:
    """Read `[LEVEL[PLATFORM],…:]KEY=VALUE` as buildx writes it; without a level it is the index's own.

    Only where `images` are built there may be any of their own.
    """
    return tuple(annotation for text in texts for annotation in _parse_levels(text, images=images))


def _parse_levels(text: str, *, images: bool) -> Iterable[Annotation]:
    found = re.fullmatch(_PREFIX, text, re.DOTALL)
    levels, rest = (found[1], found[2]) if found else ("index", text)
    key, equals, value = rest.partition("=")
    if not equals or not key:
        raise UsageError(f"not an annotation: {text!r}", hint="write KEY=VALUE, or LEVEL:KEY=VALUE")
    for word in levels.split(","):
        level, bracket, platform = word.rstrip("]").partition("[")
        if level == "manifest" and not images:
            raise UsageError(
                f"{text!r} would change an image's own bytes, and with them its digest",
                hint=f"what the index says of it is written as manifest-descriptor:{rest}",
            )
        if bracket and level.startswith("index"):
            raise UsageError(f"{text!r} names a platform, and an index has none", hint=f"write {level}:{rest}")
        yield Annotation(level, key, value, Platform.parse(platform) if bracket else None)
