"""Tiny content, and a client of one function."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regkit.devregistry.app import DevRegistry
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.layout import INDEX, MARKER, MARKER_CONTENT, blob_path
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform
from regkit.protocol.flow import Bytes, Request, Response

OCTETS = {"Content-Type": "application/octet-stream"}


def ask(
    registry: DevRegistry, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Response:
    """Send one request, as a client would: with its Content-Length."""
    return registry.handle(Request(method, url, {"Content-Length": str(len(body)), **(headers or {})}, Bytes(body)))


def code(response: Response) -> tuple[int, str]:
    """Give the status and the first error's code."""
    return response.status, response.json(1 << 16)["errors"][0]["code"]


def content(response: Response) -> bytes:
    """Give the whole body."""
    with response.body as body:
        return body.read()


def push_blob(registry: DevRegistry, repository: str, data: bytes, algorithm: str = "sha256") -> Digest:
    """Push a blob in one request."""
    digest = Digest.of(data, algorithm)
    assert ask(registry, "POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data, OCTETS).status == 201
    return digest


def put(registry: DevRegistry, repository: str, name: str, manifest: Manifest) -> Response:
    """Put a manifest under a name."""
    headers = {"Content-Type": manifest.media_type}
    return ask(registry, "PUT", f"/v2/{repository}/manifests/{name}", manifest.raw, headers)


def push_image(
    registry: DevRegistry, repository: str, tag: str | None, content: str = "hello", **more: Any
) -> Manifest:
    """Push an image with one layer, under a tag or its digest."""
    blobs, manifest = image(content, **more)
    for data in blobs:
        push_blob(registry, repository, data)
    assert put(registry, repository, tag or manifest.digest, manifest).status == 201
    return manifest


def layer(content: str) -> bytes:
    """Make a gzip tar with one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("hello")
        info.size = len(content.encode())
        archive.addfile(info, io.BytesIO(content.encode()))
    return gzip.compress(buffer.getvalue(), mtime=0)


def image(content: str, platform: Platform | None = None, **more: Any) -> tuple[tuple[bytes, bytes], Manifest]:
    """Make an image: its configuration and layer, and the manifest over them."""
    packed = layer(content)
    config = canonical_json(
        {
            **(platform or Platform("linux", "amd64")).to_json(),
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Digest.of(gzip.decompress(packed))]},
        }
    )
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "config": Descriptor.of(mediatype.OCI_CONFIG, config).to_json(),
        "layers": [Descriptor.of(mediatype.OCI_LAYER_GZIP, packed).to_json()],
        **more,
    }
    return (config, packed), Manifest(mediatype.OCI_MANIFEST, canonical_json(document))


def write_layout(path: Path, platforms: Sequence[str], tag: str) -> Manifest:
    """Write an OCI layout with an index over an image for each platform; give the index."""
    children = []
    for platform in map(Platform.parse, platforms):
        blobs, manifest = image(f"hello {platform}", platform)
        for data in (*blobs, manifest.raw):
            _write(path, data)
        children.append(Descriptor(manifest.media_type, manifest.digest, len(manifest.raw), platform))
    index = assemble_index(children, {})
    _write(path, index.raw)
    entry = {**index.descriptor.to_json(), "annotations": {"org.opencontainers.image.ref.name": tag}}
    (path / INDEX).write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (path / MARKER).write_bytes(MARKER_CONTENT)
    return index


def _write(path: Path, data: bytes) -> None:
    target = path / blob_path(Digest.of(data))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def run(*argv: str, home: Path) -> str:
    """Run a peer; its stdout where it ends well, else an AssertionError with all that it said."""
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
