"""Content in memory, gone with the process."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import BinaryIO

from regkit.errors import NotFound
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import assemble_index
from regkit.protocol.flow import Source
from regkit.targets.local import LocalTarget


class Memory(LocalTarget):
    """A Target that keeps immutable bytes; an error that ends its context takes nothing back."""

    def __init__(self, name: str = "memory") -> None:
        super().__init__(name, assemble_index((), {}))
        self._content: dict[Digest, bytes] = {}

    def check_writable(self) -> None:
        """There is no place where it couldn't be kept."""

    def _digests(self) -> Iterable[Digest]:
        with self._lock:
            return tuple(self._content)

    def _size(self, digest: Digest) -> int | None:
        data = self._content.get(digest)
        return None if data is None else len(data)

    def _open(self, digest: Digest) -> BinaryIO:
        data = self._content.get(digest)
        if data is None:
            raise NotFound(f"{self.name} has no blob {digest}")
        return io.BytesIO(data)

    def _store(self, descriptor: Descriptor, source: Source) -> None:
        with source.open() as stream:
            data = stream.read()
        with self._lock:
            self._content[descriptor.digest] = data

    def _remove(self, digest: Digest) -> None:
        self._content.pop(digest, None)

    def _commit(self) -> None:
        """There is nothing to write: what is pushed is there."""
