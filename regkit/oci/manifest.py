"""Manifests and indexes: the bytes that came are the truth; what is new gets canonical bytes once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from regkit.errors import ProtocolError, Refused
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest

MAX_SIZE = 4 * 1024 * 1024
"""The largest manifest that is read or sent, in bytes (distribution-spec, Pushing manifests)."""

_STRUCTURAL = frozenset({"mediatype", "manifests", "config", "layers", "subject", "digest", "size"})


@dataclass(frozen=True)
class Manifest:
    """An image manifest or an index: its media type and its bytes, untouched."""

    media_type: str
    raw: bytes

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The parsed bytes; raise ProtocolError where they aren't one unambiguous JSON object."""
        try:
            data = json.loads(self.raw, object_pairs_hook=_unambiguous)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"the manifest {self.digest} isn't valid JSON: {error}") from None
        if not isinstance(data, dict):
            raise ProtocolError(f"the manifest {self.digest} isn't a JSON object")
        if "manifests" in data and ("layers" in data or "config" in data):
            # CVE-2021-41190: read as one thing by some, as another by others.
            raise ProtocolError(f"the manifest {self.digest} claims to be an image and an index at once")
        return data

    @cached_property
    def digest(self) -> Digest:
        """The digest of the bytes."""
        return Digest.of(self.raw)

    @cached_property
    def descriptor(self) -> Descriptor:
        """What an index would say of it, without a platform."""
        return Descriptor(self.media_type, self.digest, len(self.raw))

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests rather than layers."""
        return self.media_type in mediatype.INDEXES

    @cached_property
    def manifests(self) -> tuple[Descriptor, ...]:
        """An index's children, in order; empty for an image."""
        return self._descriptors("manifests") if self.is_index else ()

    @cached_property
    def config(self) -> Descriptor | None:
        """An image's configuration; None for an index; Refused for Docker's schema 1, which has none."""
        if self.media_type in mediatype.SCHEMA1:
            raise Refused(
                f"the manifest {self.digest} is of Docker's schema 1, which has neither sizes nor a configuration",
                hint="push it anew with a client of this decade: that makes an image of schema 2 of it",
            )
        return None if self.is_index else Descriptor.from_json(self.document.get("config"))

    @cached_property
    def layers(self) -> tuple[Descriptor, ...]:
        """An image's layers, in order; empty for an index."""
        return () if self.is_index else self._descriptors("layers")

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """What an image needs: its configuration and its layers, each digest once."""
        wanted = (*([self.config] if self.config else []), *self.layers)
        return tuple({blob.digest: blob for blob in wanted}.values())

    @cached_property
    def annotations(self) -> Mapping[str, str]:
        """The manifest's own annotations."""
        annotations = self.document.get("annotations")
        return {str(k): str(v) for k, v in annotations.items()} if isinstance(annotations, dict) else {}

    @cached_property
    def subject(self) -> Descriptor | None:
        """What it refers to, as a signature does to an image; None where it stands for itself."""
        subject = self.document.get("subject")
        return None if subject is None else Descriptor.from_json(subject)

    @property
    def artifact_type(self) -> str | None:
        """Its own `artifactType`, else its configuration's media type (distribution-spec, Listing Referrers)."""
        kind = self.document.get("artifactType")
        if isinstance(kind, str) and kind:
            return kind
        return self.config.media_type if "config" in self.document and self.config else None

    @property
    def as_referrer(self) -> Descriptor:
        """What a list of referrers says of it: its artifact type and all its annotations."""
        return replace(self.descriptor, annotations=self.annotations, artifact_type=self.artifact_type)

    @classmethod
    def parse(cls, raw: bytes, media_type: str | None = None) -> Self:
        """Take bytes as a manifest; raise ProtocolError where they contradict `media_type` or hide their kind."""
        kind = mediatype.essence(media_type) if media_type else ""
        declared = cls(kind, raw).document.get("mediaType")
        if isinstance(declared, str) and declared:
            if kind in mediatype.MANIFESTS and declared != kind:
                raise ProtocolError(f"a manifest says it is {declared}, but was served as {kind}")
            kind = declared
        if not kind or kind == "application/json":
            kind = mediatype.OCI_INDEX if "manifests" in cls(kind, raw).document else mediatype.OCI_MANIFEST
        return cls(kind, raw)

    def _descriptors(self, key: str) -> tuple[Descriptor, ...]:
        items = self.document.get(key)
        if items is None:
            return ()
        if not isinstance(items, list):
            raise ProtocolError(f"the manifest {self.digest} has {key!r} that aren't a list")
        return tuple(Descriptor.from_json(item) for item in items)


def assemble_index(
    manifests: Iterable[Descriptor],
    annotations: Mapping[str, str],
    media_type: str = mediatype.OCI_INDEX,
) -> Manifest:
    """Write an index over `manifests`, in their order; a platform that stands there twice raises ProtocolError.

    Attestations (`unknown/unknown`) may be many. Same input, same bytes: annotations are sorted by key.
    """
    children = tuple(manifests)
    seen: set[object] = set()
    for platform in (child.platform for child in children):
        if platform is None or platform.is_unknown:
            continue
        if platform.normalized in seen:
            raise ProtocolError(f"an index can't hold two manifests for {platform}: the second would never be used")
        seen.add(platform.normalized)
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [child.to_json() for child in children],
    }
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    return Manifest(media_type, canonical_json(document))


def canonical_json(document: object) -> bytes:
    """Write JSON in one fixed way: UTF-8, two spaces deep, keys in the given order."""
    return json.dumps(document, ensure_ascii=False, indent=2).encode()


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice, a structural one also in another case: parsers disagree on which counts."""
    data = dict(pairs)
    structural = [key.lower() for key in data if key.lower() in _STRUCTURAL]
    if len(data) != len(pairs) or len(structural) != len(set(structural)):
        raise ValueError("a key stands in it twice")
    return data
