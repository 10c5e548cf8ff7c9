"""What a registry's directory needs no longer (`registry gc`): found first, removed then.

Kept are manifests with a tag and, unless asked otherwise, those without: builds push by digest and give names later.
What a kept manifest refers to is kept, an index's children and an image's blobs, and so is what refers to a kept
manifest as its `subject`. The subject itself isn't kept by that: it is a weak reference (image-spec, manifest.md).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from regkit.devregistry.directory import DirectoryStore
from regkit.devregistry.store import Names
from regkit.errors import ContentMismatch, ProtocolError, RegkitError
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.targets.local import bounded


@dataclass(frozen=True, slots=True)
class Unneeded:
    """One file that can go: a repository's manifest or blob, or, without a digest, what an upload left."""

    path: Path
    size: int
    repository: str = ""
    digest: Digest | None = None
    kind: str = "upload"


@dataclass(frozen=True, slots=True)
class Garbage:
    """All that can go, by repository, and how many bytes the file system gets back: a mounted blob is there once."""

    files: tuple[Unneeded, ...]
    freed: int


def find_garbage(store: DirectoryStore, *, untagged: bool = False) -> Garbage:
    """Find what can go, also the manifests without a tag where `untagged` is set; nothing is changed.

    Raise UsageError for a repository that can't be read, ContentMismatch or ProtocolError for a manifest that isn't
    what it should be: what it refers to isn't known then.
    """
    files = [
        file for repository in store.repositories() for file in _of_repository(store, repository, untagged=untagged)
    ]
    files += [Unneeded(path, path.lstat().st_size) for path in store.leftovers()]
    return Garbage(tuple(files), _freed(file.path for file in files))


def remove_garbage(store: DirectoryStore, garbage: Garbage) -> None:
    """Remove it: from the names first, so that none is left that names nothing.

    Raise RegkitError for a file that can't be removed; another run does the rest.
    """
    manifests: dict[str, list[Digest]] = defaultdict(list)
    for file in garbage.files:
        if file.digest and file.kind == "manifest":
            manifests[file.repository].append(file.digest)
    for repository, digests in manifests.items():
        store.write_names(repository, (store.names(repository) or Names()).without_manifests(*digests))
    for file in garbage.files:
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            raise RegkitError(f"{file.path} can't be removed: {error.strerror}") from None


def kept(names: Names, read: Callable[[Descriptor], Manifest], *, untagged: bool = False) -> frozenset[Digest]:
    """Tell all that has to stay, manifests and blobs; `read` gives a manifest of the repository."""
    references: dict[Digest, tuple[Digest, ...]] = {}
    referrers: dict[Digest, list[Digest]] = defaultdict(list)
    for digest, descriptor in names.manifests.items():
        manifest = read(descriptor)
        references[digest] = tuple(needed.digest for needed in (*manifest.manifests, *manifest.blobs))
        if manifest.subject is not None:
            referrers[manifest.subject.digest].append(digest)
    found = {other.digest for other in names.others}
    waiting = list(names.tags.values() if untagged else names.manifests)
    while waiting:
        digest = waiting.pop()
        if digest not in found:
            found.add(digest)
            waiting += (*references.get(digest, ()), *referrers.get(digest, ()))
    return frozenset(found)


def _of_repository(store: DirectoryStore, repository: str, *, untagged: bool) -> Iterator[Unneeded]:
    names = store.names(repository) or Names()

    def read(descriptor: Descriptor) -> Manifest:
        what = f"{descriptor.digest} in {store.path(repository)}"
        source = store.blob(repository, descriptor.digest)
        if source is None:
            raise ContentMismatch(f"the manifest {what} isn't there")
        with source.open() as stream:
            raw = bounded(stream, what)
        if Digest.of(raw, descriptor.digest.algorithm) != descriptor.digest:
            raise ContentMismatch(f"the manifest {what} doesn't have its digest")
        manifest = Manifest(descriptor.media_type, raw)
        try:
            _ = manifest.manifests, manifest.blobs, manifest.subject
        except ProtocolError as error:
            raise ProtocolError(f"{store.path(repository)}: {error.message}") from None
        return manifest

    needed = kept(names, read, untagged=untagged)
    for digest, path in store.files(repository):
        if digest not in needed:
            kind = "manifest" if digest in names.manifests else "blob"
            yield Unneeded(path, path.lstat().st_size, repository, digest, kind)


def _freed(paths: Iterable[Path]) -> int:
    status = [path.lstat() for path in paths]
    going = Counter((each.st_dev, each.st_ino) for each in status)
    last = {
        (each.st_dev, each.st_ino): each.st_size for each in status if going[each.st_dev, each.st_ino] == each.st_nlink
    }
    return sum(last.values())
