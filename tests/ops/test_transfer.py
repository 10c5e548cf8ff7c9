"""Content on its way: what is sent side by side, and what for others don't wait."""

from __future__ import annotations

import threading

from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import canonical_json
from regkit.ops.tasks import HEAVY
from regkit.ops.transfer import Transfer
from regkit.protocol.flow import Bytes, Source
from regkit.targets.memory import Memory
from regkit.transport.session import Session

COUNT = 2 * HEAVY
SIZE = 5 * 1024 * 1024


class PutsAwaySlowly(Memory):
    """A target that has nothing for good until all of it was sent, as one does that puts uploads together."""

    def __init__(self) -> None:
        super().__init__()
        self._sent = threading.Barrier(COUNT)

    def push(self, descriptor: Descriptor, source: Source, name: str | None = None) -> None:
        """Take it; say so when all others have been sent, too."""
        with source.open() as stream:
            while stream.read(SIZE):
                pass
        self._sent.wait(10)
        super().push(descriptor, source, name)


def test_nothing_waits_for_what_is_put_away() -> None:
    """Of large blobs some are sent at once; when they are, the next ones are, whatever the answers are waiting for."""
    source = Memory()
    contents = [canonical_json({"number": number}).ljust(SIZE) for number in range(COUNT)]
    blobs = [Descriptor.of("application/octet-stream", data) for data in contents]
    for blob, data in zip(blobs, contents, strict=True):
        source.push(blob, Bytes(data))
    destination = PutsAwaySlowly()

    with Session() as session:
        sent = Transfer(session, source, destination, new=True).bring_blobs(blobs)

    assert sent == blobs
    assert all(destination.size(blob.digest) == SIZE for blob in blobs)
