"""An image layout in one file: a tar, plain or in gzip, read where it lies and written whole or not at all."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from regkit.errors import NotFound, ProtocolError, RegkitError, UsageError
from regkit.files import cant_read, check_writable
from regkit.oci import layout
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest, assemble_index
from regkit.protocol.flow import Bytes, Source
from regkit.targets.local import LocalTarget
from regkit.targets.tar import TarReader, TarWriter
from regkit.targets.verified import VerifiedSource

_HINT = "an archive is a tar of a directory with the files oci-layout and index.json"


class Archive(LocalTarget):
    """The archive in `path`; with `create`, one is begun where there is none.

    What is pushed is written to a file without a name beside it, which takes its place when the context ends well; what
    was in the archive before is copied over, checked. Nothing is ever extracted. Raise UsageError where `path` is no
    archive of an image layout (image-spec, image-layout.md), or can't be one.
    """

    scheme = "oci-archive"

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self._reader = self._read_tar(create=create)
        self._writer: TarWriter | None = None
        self._removed: set[Digest] = set()
        self._ended = False
        self._members = _digests_of(self._reader.regions) if self._reader else {}
        super().__init__(f"{self.scheme}:{path}", assemble_index((), {}), changed=self._reader is None)
        if self._reader is not None:
            self._take_index(self._read_index(self._reader))

    def check_writable(self) -> None:
        """Raise UsageError where nothing can be put beside the file; nothing is made."""
        check_writable(self.path.resolve())

    def _read_index(self, reader: TarReader) -> Manifest:
        """Read what the archive lists; raise UsageError where it is no layout."""
        if reader.links:
            raise UsageError(f"{self.path} has a symbolic link, which no layout has: {min(reader.links)!r}")
        if not {layout.MARKER, layout.INDEX} <= reader.regions.keys():
            raise UsageError(f"{self.path} isn't an archive of an OCI image layout", hint=_HINT)
        try:
            marker, index = reader.read(layout.MARKER, MAX_SIZE), reader.read(layout.INDEX, MAX_SIZE)
        except ProtocolError as error:
            raise UsageError(f"{self.path} is a broken OCI image layout: {error}") from None
        return layout.read_layout(self.path, marker, index)

    def _last_members(self) -> Iterable[tuple[str, bytes]]:
        """Give the files that describe the rest, in the order in which they end the archive."""
        yield layout.MARKER, layout.MARKER_CONTENT
        yield layout.INDEX, self._index_bytes()

    def _digests(self) -> Iterable[Digest]:
        with self._lock:
            written = _digests_of(self._writer.regions) if self._writer else {}
            return (*written, *(d for d in self._members if d not in written and d not in self._removed))

    def _size(self, digest: Digest) -> int | None:
        name = _member_name(digest)
        with self._lock:
            if self._writer and name in self._writer.regions:
                return self._writer.regions[name].size
            if self._reader is None or digest in self._removed or digest not in self._members:
                return None
            return self._reader.regions[self._members[digest]].size

    def _open(self, digest: Digest) -> BinaryIO:
        with self._lock:
            if self._writer and _member_name(digest) in self._writer.regions:
                return self._writer.open(_member_name(digest))
            if self._reader is None or self._size(digest) is None:
                raise NotFound(f"{self.name} has no blob {digest}")
            return self._reader.open(self._members[digest])

    def _store(self, descriptor: Descriptor, source: Source) -> None:
        with self._lock:
            if self._ended:
                raise RegkitError(f"{self.name} isn't being written any more")
            if self._writer is None:
                self._writer = TarWriter(self.path.resolve())
            writer = self._writer
            self._changed = True
        writer.add(_member_name(descriptor.digest), source)

    def _remove(self, digest: Digest) -> None:
        self._changed |= self._size(digest) is not None
        self._removed.add(digest)
        if self._writer:
            self._writer.drop(_member_name(digest))

    def _commit(self) -> None:
        writer = self._writer = self._writer or TarWriter(self.path.resolve())
        try:
            for digest in self._digests():
                if _member_name(digest) not in writer.regions:
                    writer.add(_member_name(digest), self._checked(digest))
            for name, data in self._last_members():
                writer.add(name, Bytes(data))
            writer.finish()
        finally:
            self._drop_writer()
        self._removed.clear()
        self._reader = TarReader(self.path)
        self._members = _digests_of(self._reader.regions)

    def _checked(self, digest: Digest) -> Source:
        size = self._size(digest)
        assert size is not None
        descriptor = Descriptor("application/octet-stream", digest, size)
        return VerifiedSource(descriptor, lambda: self._open(digest), f"the blob {digest} of {self.name}")

    def _discard(self) -> None:
        with self._lock:
            self._ended = True
            self._drop_writer()

    def _drop_writer(self) -> None:
        if self._writer:
            self._writer.discard()
        self._writer = None

    def _read_tar(self, *, create: bool) -> TarReader | None:
        try:
            if not create or self.path.exists() or self.path.is_symlink():
                return TarReader(self.path)
        except OSError as error:
            raise cant_read(self.path, error) from None
        if not self.path.parent.is_dir():
            raise UsageError(
                f"{self.path} can't be written: {self.path.parent} isn't a directory",
                hint=f"make it first: mkdir -p {shlex.quote(str(self.path.parent))}",
            )
        return None


def _member_name(digest: Digest) -> str:
    return str(layout.blob_path(digest))


def _digests_of(names: Iterable[str]) -> dict[Digest, str]:
    """Tell which digests a tar's members are, by names that a digest gives, and no others."""
    found = {}
    for name in names:
        algorithm, _, encoded = name.removeprefix(f"{layout.BLOBS}/").partition("/")
        try:
            digest = Digest(f"{algorithm}:{encoded}")
        except UsageError:
            continue
        if name == _member_name(digest):
            found[digest] = name
    return found
