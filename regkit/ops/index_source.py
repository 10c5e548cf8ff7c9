"""What goes into an index: a reference, and what is to be said of it instead of what it says itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Self

from regkit.errors import UsageError
from regkit.oci.platform import Platform
from regkit.ops.entries import Entry
from regkit.targets.location import Location

_OVERRIDE = re.compile(r",(?=(?:platform|os\.version|os\.features)=)")
_STRANGER = re.compile(r",([A-Za-z][A-Za-z.]*)=[^/]*$")


@dataclass(frozen=True, slots=True)
class IndexSource:
    """What goes into an index, and what is to be said of it instead of what it says itself.

    An index brings all that it lists. `platform`, `os_version` and `os_features` are for the one image that it brings,
    each None where that image's own counts (image-spec, image-index.md).
    """

    location: Location
    platform: Platform | None = None
    os_version: str | None = None
    os_features: tuple[str, ...] | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `REF[,platform=os/arch[/variant]][,os.version=…][,os.features=a+b]`; raise UsageError."""
        name, *overrides = _OVERRIDE.split(text)
        given: dict[str, str] = {}
        for override in overrides:
            key, _, value = override.partition("=")
            if key in given or not value:
                raise UsageError(f"{text!r} says {key} twice, or nothing for it", hint="write each once, with a value")
            given[key] = value
        try:
            location = Location.parse(name)
        except UsageError:
            if not (stranger := _STRANGER.search(name)):
                raise
            raise UsageError(
                f"{text!r} says {stranger[1]!r}, which can't be said of an image",
                hint="what can be said is platform=os/arch[/variant], os.version=V and os.features=A+B",
            ) from None
        platform, features = given.get("platform"), given.get("os.features")
        return cls(
            location,
            Platform.parse(platform) if platform else None,
            given.get("os.version"),
            tuple(features.split("+")) if features else None,
        )

    @property
    def overrides(self) -> bool:
        """Whether anything is to be said instead."""
        return (self.platform, self.os_version, self.os_features) != (None, None, None)


def overridden(source: IndexSource, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Say of the one image that a source brings what is asked for; its bytes stay. Fill in platforms that are known."""
    if not source.overrides:
        return tuple(map(_with_platform, entries))
    images = [entry for entry in entries if not entry.descriptor.attests]
    if len(images) != 1:
        raise UsageError(
            f"{source.location} brings {len(images)} images, and one platform can't be all of theirs",
            hint="name the image by its digest",
        )
    return tuple(_with_platform(_override(source, e)) if e is images[0] else e for e in entries)


def _override(source: IndexSource, entry: Entry) -> Entry:
    platform = source.platform or entry.descriptor.platform
    if platform is None:
        raise UsageError(
            f"{source.location} has no platform, so it can't have a version of one",
            hint="add platform=os/arch",
        )
    if source.os_version is not None:
        platform = replace(platform, os_version=source.os_version)
    if source.os_features is not None:
        platform = replace(platform, os_features=source.os_features)
    document = {key: value for key, value in entry.document.items() if key != "platform"}
    return Entry(replace(entry.descriptor, platform=platform), document)


def _with_platform(entry: Entry) -> Entry:
    platform = entry.descriptor.platform
    if platform is None or "platform" in entry.document:
        return entry
    return Entry(entry.descriptor, {**entry.document, "platform": platform.to_json()})
