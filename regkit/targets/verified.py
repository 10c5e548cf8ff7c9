"""Content whose size and digest are checked while it is read."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, cast

from regkit.errors import ContentMismatch
from regkit.files import cant_read
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Verifier
from regkit.protocol.flow import Source

_PIECE = 256 * 1024


class VerifiedSource(NamedTuple):
    """A Source over `opener`; reading it raises ContentMismatch where the bytes aren't the descriptor's."""

    descriptor: Descriptor
    opener: Callable[[], BinaryIO]
    what: str = ""

    @property
    def size(self) -> int:
        """The descriptor's size, in bytes."""
        return self.descriptor.size

    def open(self) -> BinaryIO:
        """Start reading from the beginning."""
        return cast(BinaryIO, _VerifiedStream(self.opener(), self.descriptor, self.what))


def read_all(source: Source, limit: int) -> bytes:
    """Read a source whole; raise ContentMismatch where it is larger than `limit` bytes, before reading it."""
    if source.size > limit:
        raise ContentMismatch(f"{source.size} bytes are more than the {limit} that are read at once")
    with source.open() as stream:
        return stream.read()


class _VerifiedStream(io.BufferedIOBase):
    """Checks with the last byte, before it is handed on: nobody takes the whole for good and learns better later.

    Pieces are handed on as they come from beneath, without being copied.
    """

    def __init__(self, stream: BinaryIO, descriptor: Descriptor, what: str) -> None:
        self._stream, self._what = stream, what or descriptor.digest
        self._verifier = Verifier(descriptor.digest, descriptor.size, what)
        self._left = descriptor.size

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1, /) -> bytes:
        try:
            data = self._stream.read(size if size > 0 else _PIECE)
        except OSError as error:
            raise cant_read(self._what, error) from None
        self._verifier.update(data)
        self._left -= len(data)
        if not data or self._left == 0:
            self._verifier.finish()
        return data

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = -1 if size is None or size < 0 else size
        pieces: list[bytes] = []
        while wanted and (data := self.read1(wanted)):
            pieces.append(data)
            wanted -= len(data) if wanted > 0 else 0
        return b"".join(pieces)  # a single piece is given back as it is

    def close(self) -> None:
        self._stream.close()
        super().close()
