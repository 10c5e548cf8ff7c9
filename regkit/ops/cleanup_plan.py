"""What a cleanup does to a repository, as plain data: every tag with its reason, and every manifest that may go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from regkit.errors import UsageError
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference
from regkit.ops.census import Census
from regkit.ops.saved import SCHEMA, read_plan

_AGAIN = "make the plan anew: regkit cleanup plan --out FILE"


@dataclass(frozen=True, slots=True)
class TagPlan:
    """What becomes of a tag; `digest` is None where it couldn't be looked up, `created` where its age isn't known."""

    tag: str
    digest: Digest | None
    goes: bool
    reason: str
    created: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON."""
        created = self.created.isoformat() if self.created else None
        return {"tag": self.tag, "digest": self.digest, "created": created, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class ManifestPlan:
    """What becomes of a manifest that no tag names any more; it may only go when those in `after` are gone."""

    descriptor: Descriptor
    goes: bool
    reason: str
    after: tuple[Digest, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON."""
        there = self.descriptor
        return {"digest": there.digest, "mediaType": there.media_type, "size": there.size, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class CleanupPlan:
    """All that is decided for a repository; `manifests` stand in the order in which they can be deleted.

    `census` is what it rests on.
    """

    image: Reference
    tags: tuple[TagPlan, ...]
    manifests: tuple[ManifestPlan, ...]
    untagged: bool
    census: Census = field(repr=False)

    @property
    def going(self) -> dict[str, Digest]:
        """The tags that go, each with what it stands on."""
        return {each.tag: each.digest for each in self.tags if each.goes and each.digest is not None}

    @property
    def staying(self) -> dict[str, Digest]:
        """The tags that stay, as far as it's known where they stand."""
        return {each.tag: each.digest for each in self.tags if not each.goes and each.digest is not None}

    @property
    def deleted(self) -> tuple[Descriptor, ...]:
        """The manifests that go."""
        return tuple(each.descriptor for each in self.manifests if each.goes)

    @property
    def pending(self) -> bool:
        """Whether it changes anything."""
        return bool(self.going or self.deleted)

    @property
    def summary(self) -> str:
        """Say in numbers what it does."""
        removed, deleted = len(self.going), len(self.deleted)
        said = f"{removed} of {len(self.tags)} tags go"
        return f"{said}, and {deleted} manifests" if self.untagged else said

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "image": self.image.name,
            "untagged": self.untagged,
            "remove": [each.to_json() for each in self.tags if each.goes],
            "keep": [each.to_json() for each in self.tags if not each.goes],
            "delete": [each.to_json() for each in self.manifests if each.goes],
            "spare": [each.to_json() for each in self.manifests if not each.goes],
        }

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """Give it for people: what is done, to what, and why."""
        for tag in self.tags:
            yield "remove" if tag.goes else "keep", tag.tag, tag.reason
        for manifest in self.manifests:
            yield "delete" if manifest.goes else "keep", manifest.descriptor.digest, manifest.reason


def plans_document(plans: tuple[CleanupPlan, ...]) -> dict[str, Any]:
    """Give plans as one JSON document, which `read_saved` reads."""
    return {"schema": SCHEMA, "images": [plan.to_json() for plan in plans]}


@dataclass(frozen=True, slots=True)
class SavedCleanup:
    """What a saved plan says of one repository: the tags that go, where they stood, and the manifests that go."""

    image: Reference
    going: Mapping[str, str]
    deleted: frozenset[str]
    untagged: bool


def read_saved(path: Path) -> tuple[SavedCleanup, ...]:
    """Read the plans in a file; raise UsageError where it isn't one of this schema."""
    document = read_plan(path, "a plan of a cleanup", "images", list, _AGAIN)
    try:
        return tuple(_saved(item) for item in document["images"])
    except (KeyError, TypeError, AttributeError):
        raise UsageError(f"{path} isn't a plan of a cleanup: something is missing in it", hint=_AGAIN) from None


def _saved(item: dict[str, Any]) -> SavedCleanup:
    return SavedCleanup(
        Reference.parse_name(item["image"]),
        {str(tag["tag"]): str(tag["digest"]) for tag in item["remove"]},
        frozenset(str(manifest["digest"]) for manifest in item["delete"]),
        item["untagged"] is True,
    )
