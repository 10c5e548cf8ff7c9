"""OCI layouts with random content, the same for the same seed."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform
from regkit.protocol.flow import Bytes
from regkit.targets.file import File
from regkit.targets.layout import Layout

_PIECE = 1 << 20


def make_layout(
    root: Path,
    platforms: Sequence[str] = ("linux/amd64",),
    layers: int = 1,
    layer_size: int = 1024,
    *,
    seed: int = 0,
    tag: str | None = "built",
) -> Manifest:
    """Write a layout with an image for each platform and an index over them; give the index.

    Each image has `layers` of its own: a tar with one file of `layer_size` random bytes, which gzip only wraps.
    """
    with Layout(root, create=True) as layout:
        children = [_image(layout, Platform.parse(text), layers, layer_size, seed) for text in platforms]
        index = assemble_index(children, {})
        layout.push(index.descriptor, Bytes(index.raw), tag or "built")
    return index


class _Random(io.RawIOBase):
    """A stream of random bytes; a piece is drawn once, and counted on from there, since drawing is slow."""

    def __init__(self, seed: str) -> None:
        super().__init__()
        self._piece = random.Random(seed).randbytes(_PIECE)
        self._count, self._buffer = 0, b""

    def read(self, size: int = -1, /) -> bytes:
        while len(self._buffer) < size:
            self._buffer += self._count.to_bytes(8) + self._piece[8:]
            self._count += 1
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data


class _Digesting(io.RawIOBase):
    """Writes to a file, and knows the digest of what was written."""

    def __init__(self, file: gzip.GzipFile) -> None:
        super().__init__()
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data: Any, /) -> int:
        self.digest.update(data)
        return self._file.write(data)


def _image(layout: Layout, platform: Platform, layers: int, size: int, seed: int) -> Descriptor:
    pushed = [_layer(layout, f"{seed} {platform} {number}", size) for number in range(layers)]
    rootfs = {"type": "layers", "diff_ids": [content for _, content in pushed]}
    config = canonical_json({**platform.to_json(), "config": {}, "rootfs": rootfs})
    described = Descriptor.of(mediatype.OCI_CONFIG, config)
    layout.push(described, Bytes(config))
    manifest = Manifest(
        mediatype.OCI_MANIFEST,
        canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": mediatype.OCI_MANIFEST,
                "config": described.to_json(),
                "layers": [layer.to_json() for layer, _ in pushed],
            }
        ),
    )
    layout.push(manifest.descriptor, Bytes(manifest.raw))
    return replace(manifest.descriptor, platform=platform)


def _layer(layout: Layout, seed: str, size: int) -> tuple[Descriptor, Digest]:
    """Push a layer; give it, and the digest of what is packed in it."""
    packed = layout.root / "layer.tar.gz"
    packed.parent.mkdir(parents=True, exist_ok=True)
    with packed.open("wb") as file, gzip.GzipFile("", "wb", 0, file, mtime=0) as archive:
        content = _Digesting(archive)
        with tarfile.open(mode="w|", fileobj=content) as tar:
            member = tarfile.TarInfo("content")
            member.size = size
            tar.addfile(member, _Random(seed))
    with packed.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    descriptor = Descriptor(mediatype.OCI_LAYER_GZIP, _named(digest), packed.stat().st_size)
    layout.push(descriptor, File.named(packed))
    packed.unlink()
    return descriptor, _named(content.digest)


def _named(digest: hashlib._Hash) -> Digest:
    return Digest(f"sha256:{digest.hexdigest()}")
