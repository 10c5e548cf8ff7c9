"""Tiny images: a layer with one file, the same bytes each time."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from dataclasses import replace

from regkit.devregistry.app import DevRegistry
from regkit.errors import UsageError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.protocol.blob import push_blob
from regkit.protocol.flow import Bytes, drive
from regkit.protocol.manifest import put_manifest


def push_image(
    registry: DevRegistry, reference: Reference, platforms: Sequence[str], content: str, *, index: bool
) -> Digest:
    """Put an image for each platform into a registry, an index over them where that is wanted or there are several.

    Without a tag it is put there by digest. Raise UsageError for no platform, or one that isn't known.
    """
    if not platforms or reference.digest is not None:
        raise UsageError("an image needs a name without a digest, and a platform")
    parsed = [Platform.parse(text) for text in platforms]
    images = [_push_platform(registry, reference.repository, platform, content) for platform in parsed]
    root = assemble_index([each for each, _ in images], {}) if index or len(images) > 1 else images[0][1]
    if root.is_index or reference.tag:
        drive(put_manifest(reference.repository, reference.tag or root.digest, root), registry.handle)
    return root.digest


def _push_platform(
    registry: DevRegistry, repository: str, platform: Platform, content: str
) -> tuple[Descriptor, Manifest]:
    packed = _layer(content)
    config = canonical_json(
        {
            **platform.to_json(),
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Digest.of(gzip.decompress(packed))]},
        }
    )
    blobs = ((mediatype.OCI_CONFIG, config), (mediatype.OCI_LAYER_GZIP, packed))
    described = [Descriptor.of(media_type, data) for media_type, data in blobs]
    for descriptor, (_, data) in zip(described, blobs, strict=True):
        drive(push_blob(repository, descriptor, Bytes(data)), registry.handle)
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "config": described[0].to_json(),
        "layers": [described[1].to_json()],
    }
    manifest = Manifest(mediatype.OCI_MANIFEST, canonical_json(document))
    drive(put_manifest(repository, manifest.digest, manifest), registry.handle)
    return replace(manifest.descriptor, platform=platform), manifest


def _layer(content: str) -> bytes:
    data, buffer = content.encode(), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("hello")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)
