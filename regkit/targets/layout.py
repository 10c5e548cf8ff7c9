"""An image layout: a directory of content that any tool reads (image-spec, image-layout.md)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from regkit.errors import NotFound, ProtocolError, UsageError
from regkit.files import cant_read, cant_write, check_writable, open_regular
from regkit.oci import layout, mediatype
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
        index = self._read_index(create=create)
        super().__init__(f"ocidir://{root}", index, changed=create and not (root / layout.INDEX).exists())

    def check_writable(self) -> None:
        """Raise UsageError where its directories can't be written to, or made; nothing is made."""
        for path in (self.root / layout.INDEX, self._path(Digest.of(b""))):
            check_writable(path)

    def _digests(self) -> Iterator[Digest]:
        blobs = self.root / layout.BLOBS
        for algorithm in _names_in(blobs):
            for name in _names_in(blobs / algorithm):
                try:
                    yield Digest(f"{algorithm}:{name}")
                except UsageError:
                    continue  # not ours, or not whole

    def _size(self, digest: Digest) -> int | None:
        path = self._path(digest)
        try:
            return size_of(path)
        except OSError as error:
            raise cant_read(path, error) from None

    def _open(self, digest: Digest) -> BinaryIO:
        path = self._path(digest)
        if self._size(digest) is None:
            raise NotFound(f"{self.name} has no blob {digest}")
        try:
            return open_file(path)
        except OSError as error:
            raise cant_read(path, error) from None

    def _store(self, descriptor: Descriptor, source: Source) -> None:
        write_atomically(self._path(descriptor.digest), source)

    def _remove(self, digest: Digest) -> None:
        if self._changed:
            self._commit()  # names go first, so that none is left that names nothing
        path = self._path(digest)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cant_write(path, error) from None

    def _commit(self) -> None:
        """Write the names, and keep those that others wrote since they were read."""
        write_atomically(self.root / layout.MARKER, Bytes(layout.MARKER_CONTENT))
        with _alone(self.root):
            if (self.root / layout.INDEX).exists():
                now = self._read_index(create=False)
                if now.raw != self._index.raw:
                    self._edit_again(now)
            raw = self._index_bytes()
            write_atomically(self.root / layout.INDEX, Bytes(raw))
        self._take_index(Manifest(mediatype.OCI_INDEX, raw))

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
            raise cant_read(self.root, error) from None
        except ProtocolError as error:
            raise UsageError(f"{self.root} is a broken OCI image layout: {error}") from None
        return layout.read_layout(self.root, said, listed)


def _names_in(directory: Path) -> list[str]:
    """List a directory in order; nothing where there is none."""
    try:
        return sorted(path.name for path in directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise cant_read(directory, error) from None


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let one process at a time change a layout's names; where a file system has no locks, as many as want to."""
    import fcntl

    with ExitStack() as stack:
        with suppress(OSError):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
