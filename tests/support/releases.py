"""Releases as a test asks for them, and as peers and access logs show them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.command import output_of, peer, regkit
from tests.support.registries import Logged, RunningRegistry

PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v7", "linux/arm/v6")
"""What the hello image is published for, in the order in which it is asked for."""

REPOSITORY = "team/hello"
_NAMED = re.compile(r"^/v2/.+/manifests/(?P<name>[^/:]+)$")


@dataclass(frozen=True)
class Release:
    """What one publish brought into a registry: `stdout` is what the command printed."""

    registry: RunningRegistry
    name: str
    commit: str
    stdout: str

    @property
    def digest(self) -> str:
        """The index's digest, as the command printed it."""
        return self.stdout.strip().removeprefix(f"{self.name}@")

    @property
    def index(self) -> dict[str, Any]:
        """The index, as crane reads it."""
        found: dict[str, Any] = json.loads(output_of(peer("crane", "manifest", f"{self.name}@{self.digest}")))
        return found

    @property
    def tags(self) -> dict[str, str]:
        """Every tag of the repository, and the digest it stands on."""
        return tags_of(self.registry)


def publish(
    registry: RunningRegistry, source: Path, *options: str | Path, builder: str, home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Publish a build context for all of PLATFORMS, on a running builder."""
    image = f"{registry.host}/{REPOSITORY}"
    asked = ("--image", image, "--platform", ",".join(PLATFORMS))
    return regkit("publish", source, *asked, *options, env={"BUILDKIT_HOST": builder}, home=home)


def publish_layout(registry: RunningRegistry, layout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Publish what is built already."""
    return regkit("publish", "--from", layout, "--image", f"{registry.host}/{REPOSITORY}", *options)


def tags_of(registry: RunningRegistry) -> dict[str, str]:
    """Tell where every tag stands, as crane sees it."""
    name = f"{registry.host}/{REPOSITORY}"
    return {tag: output_of(peer("crane", "digest", f"{name}:{tag}")).strip() for tag in registry.tags(REPOSITORY)}


def validate(name: str, platforms: Iterable[str] = PLATFORMS) -> None:
    """Let crane read every byte of each platform's image: the manifest, its configuration, its layers."""
    for platform in platforms:
        output_of(peer("crane", "validate", "--remote", name, "--platform", platform))


def tags_put(requests: Sequence[Logged]) -> list[str]:
    """Give the tags that were written, in the order of their answers."""
    return [found["name"] for r in requests if r.method == "PUT" and (found := _NAMED.match(r.path))]


def tags_deleted(requests: Sequence[Logged]) -> list[str]:
    """Give the tags that a DELETE named."""
    return [found["name"] for r in requests if r.method == "DELETE" and (found := _NAMED.match(r.path))]
