"""The image layout's fixed names (image-spec, image-layout.md)."""

from __future__ import annotations

from pathlib import PurePath

from regkit.oci.digest import Digest

MARKER = "oci-layout"
MARKER_CONTENT = b'{"imageLayoutVersion": "1.0.0"}'
INDEX = "index.json"
BLOBS = "blobs"


def blob_path(digest: Digest) -> PurePath:
    """Where a layout keeps a digest, relative to its root."""
    return PurePath(BLOBS, digest.algorithm, digest.hex)
