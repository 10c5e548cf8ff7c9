"""The image layout: its fixed names, and the two files that describe the rest (image-spec, image-layout.md)."""

from __future__ import annotations

import json
from pathlib import PurePath

from regkit.errors import ProtocolError, UsageError
from regkit.oci import mediatype
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest

_VERSION = "1.0.0"
MARKER = "oci-layout"
MARKER_CONTENT = f'{{"imageLayoutVersion": "{_VERSION}"}}'.encode()
INDEX = "index.json"
BLOBS = "blobs"


def blob_path(digest: Digest) -> PurePath:
    """Where a layout keeps a digest, relative to its root."""
    return PurePath(BLOBS, digest.algorithm, digest.hex)


def read_layout(where: object, marker: bytes, index: bytes) -> Manifest:
    """Read what `oci-layout` and `index.json` hold; raise UsageError, which names `where`, for what is no layout."""
    try:
        said = json.loads(marker)
        manifest = Manifest.parse(index, mediatype.OCI_INDEX)
        _ = manifest.manifests
    except (ValueError, RecursionError, ProtocolError) as error:
        raise UsageError(f"{where} is a broken OCI image layout: {error}") from None
    version = said.get("imageLayoutVersion") if isinstance(said, dict) else None
    if version != _VERSION:
        raise UsageError(f"{where} is an OCI image layout of the unknown version {version!r}")
    return manifest
