"""Where the registry keeps content: one small protocol, and the store in memory.

A store holds bytes and names and decides nothing: what may be written, and what a deletion takes along, is
the application's. Every method may be called from any thread; a repository's names are written by one at a time.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Protocol, Self

from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.protocol.flow import Bytes, Source


@dataclass(frozen=True, slots=True)
class Names:
    """What a repository knows by name: its manifests by digest, and the tags that stand on them."""

    manifests: Mapping[Digest, Descriptor] = field(default_factory=dict)
    tags: Mapping[str, Digest] = field(default_factory=dict)
    others: tuple[Descriptor, ...] = ()
    """What a layout of another tool lists and is no manifest; it stays listed."""

    def with_manifest(self, manifest: Descriptor, tags: Iterable[str] = ()) -> Self:
        """Give the names with a manifest added, and with tags moved to it."""
        moved = dict.fromkeys(tags, manifest.digest)
        manifests, tagged = {**self.manifests, manifest.digest: manifest}, {**self.tags, **moved}
        return replace(self, manifests=manifests, tags=tagged)

    def without_tag(self, tag: str) -> Self:
        """Give the names with a tag gone; what it named stays."""
        return replace(self, tags={t: d for t, d in self.tags.items() if t != tag})

    def without_manifests(self, *digests: Digest) -> Self:
        """Give the names with manifests and all their tags gone."""
        gone = frozenset(digests)
        manifests = {d: m for d, m in self.manifests.items() if d not in gone}
        return replace(self, manifests=manifests, tags={t: d for t, d in self.tags.items() if d not in gone})


class Draft(Protocol):
    """Content that is being written and that nobody sees yet."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        ...

    def truncate(self, size: int) -> None:
        """Forget what was written after the first `size` bytes."""
        ...

    def open(self) -> BinaryIO:
        """Read what was written, from the beginning; the caller closes it."""
        ...

    def pause(self) -> None:
        """Hold nothing open until more is written."""
        ...

    def discard(self) -> None:
        """Throw it away; nothing is done to one that was kept."""
        ...


class Store(Protocol):
    """Repositories with content by digest, and names."""

    def repositories(self) -> tuple[str, ...]:
        """Give the names of all repositories, sorted."""
        ...

    def names(self, repository: str) -> Names | None:
        """Give a repository's names; None where there is no such repository."""
        ...

    def write_names(self, repository: str, names: Names) -> None:
        """Replace a repository's names, all at once; the repository is there afterwards."""
        ...

    def blob(self, repository: str, digest: Digest) -> Source | None:
        """Give content; None where it isn't there."""
        ...

    def draft(self) -> Draft:
        """Begin to write content."""
        ...

    def keep(self, repository: str, digest: Digest, draft: Draft) -> None:
        """Make a draft of this store a repository's content, all at once; the repository is there afterwards."""
        ...

    def mount(self, origin: str, repository: str, digest: Digest) -> bool:
        """Share content of `origin` with `repository` without a second copy where that can be; False without it."""
        ...

    def remove(self, repository: str, digest: Digest) -> bool:
        """Remove a repository's content; False where it isn't there. Other repositories keep theirs."""
        ...

    def close(self) -> None:
        """Let go of what is open; drafts are lost."""
        ...


class MemoryDraft:
    """Content that is being written to memory."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self._buffer.write(data)

    def truncate(self, size: int) -> None:
        """Forget what was written after the first `size` bytes."""
        self._buffer.seek(size)
        self._buffer.truncate()

    def open(self) -> BinaryIO:
        """Read what was written, from the beginning."""
        return io.BytesIO(self._buffer.getvalue())

    def pause(self) -> None:
        """Nothing is open."""

    def value(self) -> bytes:
        """Give what was written."""
        return self._buffer.getvalue()

    def discard(self) -> None:
        """Throw it away."""
        self._buffer = io.BytesIO()


class MemoryStore:
    """A store that is gone with the process."""

    def __init__(self) -> None:
        self._names: dict[str, Names] = {}
        self._blobs: dict[tuple[str, Digest], Bytes] = {}
        self._lock = threading.Lock()

    def repositories(self) -> tuple[str, ...]:
        """Give the names of all repositories, sorted."""
        with self._lock:
            return tuple(sorted(self._names))

    def names(self, repository: str) -> Names | None:
        """Give a repository's names; None where there is no such repository."""
        return self._names.get(repository)

    def write_names(self, repository: str, names: Names) -> None:
        """Replace a repository's names."""
        with self._lock:
            self._names[repository] = names

    def blob(self, repository: str, digest: Digest) -> Source | None:
        """Give content; None where it isn't there."""
        return self._blobs.get((repository, digest))

    def draft(self) -> MemoryDraft:
        """Begin to write content."""
        return MemoryDraft()

    def keep(self, repository: str, digest: Digest, draft: Draft) -> None:
        """Make a draft a repository's content."""
        assert isinstance(draft, MemoryDraft)  # (drafts don't travel between stores)
        self._put(repository, digest, Bytes(draft.value()))

    def mount(self, origin: str, repository: str, digest: Digest) -> bool:
        """Share the bytes of another repository."""
        blob = self._blobs.get((origin, digest))
        if blob is None:
            return False
        self._put(repository, digest, blob)
        return True

    def remove(self, repository: str, digest: Digest) -> bool:
        """Remove a repository's content; False where it isn't there."""
        return self._blobs.pop((repository, digest), None) is not None

    def close(self) -> None:
        """Nothing is open."""

    def _put(self, repository: str, digest: Digest, blob: Bytes) -> None:
        with self._lock:
            self._blobs.setdefault((repository, digest), blob)
            self._names.setdefault(repository, Names())


class Locks:
    """The locks under which repositories' names change. They are few: one for each name would be memory for each."""

    def __init__(self) -> None:
        self._locks = tuple(threading.RLock() for _ in range(64))

    def of(self, repository: str) -> threading.RLock:
        """Give a repository's lock, which others may share."""
        return self._locks[hash(repository) % len(self._locks)]


def read_known(store: Store, repository: str, known: Descriptor) -> bytes:
    """Read a manifest, which is small; raise FileNotFoundError where it was deleted a moment ago."""
    blob = store.blob(repository, known.digest)
    if blob is None:
        raise FileNotFoundError(known.digest)
    with blob.open() as stream:
        return stream.read(known.size)
