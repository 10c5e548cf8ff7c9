"""An image layout: a directory of content that any tool reads (image-spec, image-layout.md)."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Self

from regkit.errors import ContentMismatch, NotFound, ProtocolError, UsageError
from regkit.oci import layout, mediatype
from regkit.oci.annotation import REF_NAME
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest, assemble_index, canonical_json
from regkit.protocol.flow import Bytes, Source
from regkit.targets.target import Target, digest_or_none
from regkit.targets.verified import VerifiedSource


class Layout:
    """The layout in `root`; with `create`, one is begun where there is none.

    Content is written at once, each blob under a temporary name until it is whole; names when the context ends well.
    """

    def __init__(self, root: Path, *, create: bool = False) -> None:
        self.root = root
        self.name = f"ocidir://{root}"
        self._index = self._read_index(create=create)
        self._changed = create and not (root / layout.INDEX).exists()

    def __enter__(self) -> Self:
        """Open it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the names, unless an error ends it."""
        if kind is None and self._changed:
            self._commit()

    @property
    def roots(self) -> tuple[Descriptor, ...]:
        """What the layout's own index lists: the entry points into its content."""
        return self._index.manifests

    def resolve(self, name: str) -> Descriptor | None:
        """Find a tag among the layout's names, or a digest among its content."""
        digest = digest_or_none(name)
        for root in self.roots:
            if digest == root.digest if digest else root.annotations.get(REF_NAME) == name:
                return replace(root, annotations={})
        if digest is None or not (self.root / layout.blob_path(digest)).is_file():
            return None
        return self.manifest(name).descriptor

    def exists(self, descriptor: Descriptor) -> bool:
        """Tell whether a file of the right size is there."""
        path = self._path(descriptor)
        return path.is_file() and path.stat().st_size == descriptor.size

    def manifest(self, name: str) -> Manifest:
        """Read a manifest; raise NotFound, or ContentMismatch."""
        digest = digest_or_none(name)
        known = next((r for r in self.roots if r.digest == digest or r.annotations.get(REF_NAME) == name), None)
        digest = known.digest if known else digest
        if digest is None:
            raise NotFound(f"{self.name} has no tag {name!r}")
        raw = self._read(digest)
        if Digest.of(raw, digest.algorithm) != digest:
            raise ContentMismatch(f"the blob {digest} of {self.name} doesn't have its digest")
        return Manifest.parse(raw, known.media_type if known else None)

    def fetch(self, descriptor: Descriptor) -> Source:
        """Give a blob's file, checked while it is read."""
        if not self.exists(descriptor):
            raise NotFound(f"{self.name} has no blob {descriptor.digest} of {descriptor.size} bytes")
        path = self._path(descriptor)
        return VerifiedSource(descriptor, lambda: path.open("rb"), f"the blob {descriptor.digest} of {self.name}")

    def tags(self) -> tuple[str, ...]:
        """List the names in the layout's index."""
        return tuple(r.annotations[REF_NAME] for r in self.roots if REF_NAME in r.annotations)

    def push(self, descriptor: Descriptor, source: Source, name: str | None = None) -> None:
        """Write content, unless it is there; a manifest may be named. Raise ContentMismatch, and keep nothing."""
        if not self.exists(descriptor):
            checked = VerifiedSource(descriptor, source.open, f"the blob {descriptor.digest}")
            write_atomically(self._path(descriptor), checked)
        if name is not None:
            kept = [r for r in self.roots if r.annotations.get(REF_NAME) != name]
            self._replace([*kept, replace(descriptor, annotations={**descriptor.annotations, REF_NAME: name})])

    def untag(self, tag: str) -> bool:
        """Remove a name; the content stays."""
        self._replace([r for r in self.roots if r.annotations.get(REF_NAME) != tag])
        return True

    def mount(self, descriptor: Descriptor, origin: Target) -> bool:
        """Take nothing over: a layout's files are its own."""
        del descriptor, origin
        return False

    def delete(self, descriptor: Descriptor) -> bool:
        """Remove a file and the names on it; names go first, and at once, so that none is left that names nothing."""
        kept = [r for r in self.roots if r.digest != descriptor.digest]
        if len(kept) < len(self.roots):
            self._replace(kept)
            self._commit()
        self._path(descriptor).unlink(missing_ok=True)
        return True

    def referrers(self, digest: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Read all manifests, those that nothing names too: a layout keeps no list of referrers."""
        found = []
        for path in sorted((self.root / layout.BLOBS).glob("*/[!.]*")):
            subject, listed = _referrer_in(path)
            if subject == digest and listed is not None and artifact_type in (None, listed.artifact_type):
                found.append(listed)
        return tuple(found)

    def _path(self, descriptor: Descriptor) -> Path:
        return self.root / layout.blob_path(descriptor.digest)

    def _read(self, digest: Digest) -> bytes:
        try:
            with (self.root / layout.blob_path(digest)).open("rb") as stream:
                return _bounded(stream, str(digest))
        except FileNotFoundError:
            raise NotFound(f"{self.name} has no blob {digest}") from None

    def _read_index(self, *, create: bool) -> Manifest:
        """Read `index.json`; raise UsageError for what isn't a layout."""
        try:
            marker = json.loads((self.root / layout.MARKER).read_bytes())
            with (self.root / layout.INDEX).open("rb") as stream:
                index = Manifest.parse(_bounded(stream, layout.INDEX), mediatype.OCI_INDEX)
            _ = index.manifests
        except (FileNotFoundError, NotADirectoryError):
            if create and not self.root.is_file() and not (self.root / layout.INDEX).exists():
                return assemble_index((), {})
            hint = "a layout is a directory with the files oci-layout and index.json"
            raise UsageError(f"{self.root} isn't an OCI image layout", hint=hint) from None
        except OSError as error:
            raise UsageError(f"{self.root} can't be read: {error.strerror}") from None
        except (ValueError, RecursionError, ProtocolError) as error:
            raise UsageError(f"{self.root} is a broken OCI image layout: {error}") from None
        version = marker.get("imageLayoutVersion") if isinstance(marker, dict) else None
        if version != "1.0.0":
            raise UsageError(f"{self.root} is an OCI image layout of the unknown version {version!r}")
        return index

    def _replace(self, roots: list[Descriptor]) -> None:
        document = {**self._index.document, "manifests": [root.to_json() for root in roots]}
        self._index = Manifest(self._index.media_type, canonical_json(document))
        self._changed = True

    def _commit(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        write_atomically(self.root / layout.MARKER, Bytes(layout.MARKER_CONTENT))
        write_atomically(self.root / layout.INDEX, Bytes(self._index.raw))


def write_atomically(path: Path, source: Source) -> None:
    """Write a file that is there whole or not at all, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    try:
        with os.fdopen(handle, "wb") as output, source.open() as stream:
            shutil.copyfileobj(stream, output, 1 << 20)
            output.flush()
            os.fsync(output.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _referrer_in(path: Path) -> tuple[Digest | None, Descriptor | None]:
    """Tell what a file of content refers to, and how it is listed, if it is a manifest that does."""
    with path.open("rb") as stream:
        start = stream.read(1)
        raw = start + stream.read(MAX_SIZE) if start == b"{" else b""
    try:
        manifest = Manifest.parse(raw)
        if manifest.media_type not in mediatype.MANIFESTS or manifest.subject is None:
            return None, None
        digest = Digest.of(raw, path.parent.name)
        return manifest.subject.digest, replace(manifest.as_referrer, digest=digest)
    except ProtocolError:
        return None, None


def _bounded(stream: BinaryIO, what: str) -> bytes:
    data = stream.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise ProtocolError(f"{what} is larger than the {MAX_SIZE} bytes of a manifest")
    return data
