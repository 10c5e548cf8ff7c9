"""What a manifest must be before the registry takes it (distribution-spec, Pushing Manifests; image-spec)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from regkit.devregistry.answer import Fault
from regkit.devregistry.store import Names, Store
from regkit.errors import ProtocolError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest

_NOT_DISTRIBUTED = ("application/vnd.oci.image.layer.nondistributable.", "application/vnd.docker.image.rootfs.foreign.")


def parse_manifest(raw: bytes, content_type: str | None) -> Manifest:
    """Read a manifest that is being pushed; raise a Fault for one that is wrong or ambiguous."""
    kind = mediatype.essence(content_type or "")
    if kind not in mediatype.MANIFESTS:
        raise Fault(400, "MANIFEST_INVALID", f"not a manifest's Content-Type: {kind[:140]!r}")
    try:
        manifest = Manifest.parse(raw, kind)
        _check_shape(manifest)
        descriptors(manifest)
    except ProtocolError as error:
        raise Fault(400, "MANIFEST_INVALID", error.message) from None
    if manifest.media_type != kind:
        raise Fault(400, "MANIFEST_INVALID", f"it says it is {manifest.media_type[:140]!r}, but came as {kind}")
    return manifest


def descriptors(manifest: Manifest) -> tuple[Descriptor, ...]:
    """Give all that a manifest needs to be complete: children, or the configuration and layers."""
    return manifest.manifests if manifest.is_index else manifest.blobs


def require_content(manifest: Manifest, repository: str, names: Names, store: Store) -> None:
    """Raise a Fault unless all that the manifest needs is in the repository, with the size that it says."""
    for needed in descriptors(manifest):
        known = names.manifests.get(needed.digest)
        size = known.size if known else _blob_size(needed, manifest, repository, store)
        if size is None:
            if needed.media_type.startswith(_NOT_DISTRIBUTED):
                continue
            what = "manifest" if manifest.is_index else "blob"
            raise Fault(404, "MANIFEST_BLOB_UNKNOWN", f"{repository} has no {what} {needed.digest}")
        if size != needed.size:
            raise Fault(400, "MANIFEST_INVALID", f"{needed.digest} has {size} bytes, not {needed.size}")


def subject_of(manifest: Manifest) -> Digest | None:
    """Give the digest of what a manifest refers to, if it does; raise a Fault where that isn't a descriptor."""
    subject = manifest.document.get("subject")
    if subject is None:
        return None
    try:
        return Descriptor.from_json(subject).digest
    except ProtocolError as error:
        raise Fault(400, "MANIFEST_INVALID", f"its subject is wrong: {error.message}") from None


def referrer_of(manifest: Manifest, known: Descriptor) -> Mapping[str, Any]:
    """Give the descriptor that the list of referrers shows (distribution-spec, Listing Referrers)."""
    kind = manifest.document.get("artifactType") or (manifest.config.media_type if manifest.config else None)
    listed: dict[str, Any] = {"mediaType": known.media_type, "digest": str(known.digest), "size": known.size}
    if kind:
        listed["artifactType"] = kind
    if manifest.annotations:
        listed["annotations"] = dict(manifest.annotations)
    return listed


def _blob_size(needed: Descriptor, manifest: Manifest, repository: str, store: Store) -> int | None:
    if manifest.is_index and needed.is_manifest:
        return None  # bytes that were uploaded as a blob can't be pulled as a manifest
    blob = store.blob(repository, needed.digest)
    return None if blob is None else blob.size


def _check_shape(manifest: Manifest) -> None:
    document = manifest.document
    if document.get("schemaVersion") != 2:
        raise ProtocolError("its schemaVersion isn't 2")
    for key in _lists(manifest):
        if not isinstance(document.get(key), list):
            raise ProtocolError(f"it lacks the list {key!r}")
    if manifest.is_index and ("layers" in document or "config" in document):
        raise ProtocolError("it claims to be an index, but has what only an image has")
    if not manifest.is_index and "manifests" in document:
        raise ProtocolError("it claims to be an image, but lists manifests")


def _lists(manifest: Manifest) -> Iterable[str]:
    return ("manifests",) if manifest.is_index else ("layers",)
