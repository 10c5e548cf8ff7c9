"""Descriptors: what a piece of content is (image-spec, descriptor.md)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from regkit.errors import ProtocolError, UsageError
from regkit.oci import mediatype
from regkit.oci.digest import Digest
from regkit.oci.platform import Platform

_KNOWN = ("mediaType", "digest", "size", "platform", "annotations", "artifactType")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Media type, digest, size in bytes, and what an index says of it; unknown fields are kept in `extra`."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def is_index(self) -> bool:
        """Whether this is an OCI index or a Docker manifest list."""
        return self.media_type in mediatype.INDEXES

    @property
    def is_manifest(self) -> bool:
        """Whether this is served under `/manifests/` rather than `/blobs/`."""
        return self.media_type in mediatype.MANIFESTS

    @property
    def data(self) -> bytes | None:
        """The content itself, where the descriptor carries it; `from_json` took it only with its size and digest."""
        text = self.extra.get("data")
        return base64.b64decode(text) if isinstance(text, str) and text else None

    @property
    def attests(self) -> Digest | None:
        """The image that this attestation manifest belongs to, where BuildKit says so; raise ProtocolError."""
        if self.annotations.get("vnd.docker.reference.type") != "attestation-manifest":
            return None
        try:
            return Digest(self.annotations.get("vnd.docker.reference.digest", ""))
        except UsageError as error:
            raise ProtocolError(f"the attestation {self.digest} names no image: {error.message}") from None

    @classmethod
    def of(cls, media_type: str, data: bytes) -> Self:
        """Describe bytes that are at hand."""
        return cls(media_type, Digest.of(data), len(data))

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read a descriptor; raise ProtocolError where its required fields are missing or wrong, or its `data` is."""
        if not isinstance(data, dict):
            raise ProtocolError("a descriptor isn't a JSON object")
        media_type, digest, size = data.get("mediaType"), data.get("digest"), data.get("size")
        if not isinstance(media_type, str) or not isinstance(digest, str):
            raise ProtocolError("a descriptor lacks its mediaType or digest")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ProtocolError(f"the descriptor of {digest[:80]!r} has no valid size")
        platform, annotations = data.get("platform"), data.get("annotations") or {}
        if not isinstance(annotations, dict):
            raise ProtocolError(f"the descriptor of {digest[:80]!r} has annotations that aren't an object")
        artifact_type = data.get("artifactType")
        try:
            checked = Digest(digest)
        except UsageError as error:
            raise ProtocolError(f"a descriptor's digest is invalid: {error.message}") from None
        if data.get("data") not in (None, ""):
            _check_data(data["data"], checked, size)
        return cls(
            media_type,
            checked,
            size,
            Platform.from_json(platform) if isinstance(platform, dict) else None,
            MappingProxyType({str(k): str(v) for k, v in annotations.items()}),
            artifact_type if isinstance(artifact_type, str) else None,
            MappingProxyType({k: v for k, v in data.items() if k not in _KNOWN}),
        )

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object, with the unknown fields that it came with."""
        data: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.platform is not None:
            data["platform"] = self.platform.to_json()
        if self.annotations:
            data["annotations"] = dict(self.annotations)
        if self.artifact_type is not None:
            data["artifactType"] = self.artifact_type
        return data | dict(self.extra)


def _check_data(data: object, digest: Digest, size: int) -> None:
    """Raise ProtocolError unless this is the content itself in base64 (image-spec, descriptor.md#properties)."""
    try:
        content = base64.b64decode(data, validate=True) if isinstance(data, str) else None
    except (binascii.Error, ValueError):
        content = None
    if content is None:
        raise ProtocolError(f"the descriptor of {digest} carries data that isn't base64")
    if len(content) != size:
        raise ProtocolError(f"the descriptor of {digest} carries {len(content)} bytes, and says that it has {size}")
    actual = Digest.of(content, digest.algorithm)
    if actual != digest:
        raise ProtocolError(f"the descriptor of {digest} carries other content: its digest is {actual}")
