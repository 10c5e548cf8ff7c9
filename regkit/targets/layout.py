"""An image layout: a directory of content that any tool reads (image-spec, image-layout.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from regkit.errors import NotFound, ProtocolError, UsageError
from regkit.files import open_regular
from regkit.oci import layout
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest, assemble_index
from regkit.protocol.flow import Bytes, Source
from regkit.targets.file import open_file, size_of, write_atomically
from regkit.targets.local import LocalTarget, bounded


class Layout(LocalTarget):
    """The layout in `root`; with `create`, one is begun where there is none.

    Content is written at once, each blob under no name until it is whole; names when the context ends well. A blob that
    is a symbolic link isn't there: it would lead out of the directory. Raise UsageError where `root` is no image layout
    (image-spec, image-layout.md), or can't be one.
    """

    def __init__(self, root: Path, *, create: bool = False) -> None:
        self.root = root
        begun = create and not (root / layout.INDEX).exists()
        super().__init__(f"ocidir://{root}", self._read_index(create=create), changed=begun)

    def _digests(self) -> Iterator[Digest]:
        for path in sorted((self.root / layout.BLOBS).glob("*/*")):
            try:
                yield Digest(f"{path.parent.name}:{path.name}")
            except UsageError:
                continue  # not ours, or not whole

    def _size(self, digest: Digest) -> int | None:
        return size_of(self._path(digest))

    def _open(self, digest: Digest) -> BinaryIO:
        if self._size(digest) is None:
            raise NotFound(f"{self.name} has no blob {digest}")
        return open_file(self._path(digest))

    def _store(self, descriptor: Descriptor, source: Source) -> None:
        write_atomically(self._path(descriptor.digest), source)

    def _remove(self, digest: Digest) -> None:
        if self._changed:
            self._commit()  # names go first, so that none is left that names nothing
        self._path(digest).unlink(missing_ok=True)

    def _commit(self) -> None:
        write_atomically(self.root / layout.MARKER, Bytes(layout.MARKER_CONTENT))
        write_atomically(self.root / layout.INDEX, Bytes(self._index_bytes()))

    def _path(self, digest: Digest) -> Path:
        return self.root / layout.blob_path(digest)

    def _read_index(self, *, create: bool) -> Manifest:
        """Read `index.json`; raise UsageError for what isn't a layout."""
        try:
            with open_regular(self.root / layout.MARKER) as marker, open_regular(self.root / layout.INDEX) as index:
                said, listed = bounded(marker, layout.MARKER), bounded(index, layout.INDEX)
        except (FileNotFoundError, NotADirectoryError):
            if create and not self.root.is_file() and not (self.root / layout.INDEX).exists():
                return assemble_index((), {})
            hint = "a layout is a directory with the files oci-layout and index.json"
            raise UsageError(f"{self.root} isn't an OCI image layout", hint=hint) from None
        except OSError as error:
            raise UsageError(f"{self.root} can't be read: {error.strerror}") from None
        except ProtocolError as error:
            raise UsageError(f"{self.root} is a broken OCI image layout: {error}") from None
        return layout.read_layout(self.root, said, listed)
