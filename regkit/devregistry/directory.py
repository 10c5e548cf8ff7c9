"""The store on disk: for each repository a plain OCI image layout that other tools can read.

::

    DIR/<repository>/oci-layout
    DIR/<repository>/index.json          tags by org.opencontainers.image.ref.name; untagged manifests without
    DIR/<repository>/blobs/<alg>/<hex>
    DIR/_uploads/                        what is still being written

A name becomes visible by one rename of a file that is complete and synced, so a torn write never shows. A
repository may be called like a part of another one's layout (`a/blobs`): such a component gets a `_` in front,
which no repository's name can begin with. One process at a time owns the directory, by a lock on it.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from regkit.devregistry.store import Draft, Names
from regkit.errors import ProtocolError, UsageError
from regkit.files import open_regular
from regkit.oci import mediatype
from regkit.oci.annotation import REF_NAME
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.layout import BLOBS, INDEX, MARKER, MARKER_CONTENT, blob_path, read_layout
from regkit.oci.manifest import MAX_SIZE, Manifest, canonical_json
from regkit.protocol.flow import read_bounded
from regkit.targets.file import File, open_file, size_of
from regkit.targets.local import bounded

UPLOADS = "_uploads"
MAX_INDEX = 64 * 1024 * 1024
"""How large an `index.json` may be, in bytes: that of a repository with a quarter of a million tags."""
_RESERVED = frozenset({BLOBS, INDEX, MARKER})


class FileDraft:
    """Content that is being written to a file nobody sees yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("xb", buffering=0)

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        file, view = self._opened(), memoryview(data)
        while view:
            view = view[file.write(view) :]

    def truncate(self, size: int) -> None:
        """Forget what was written after the first `size` bytes."""
        file = self._opened()
        file.truncate(size)
        file.seek(size)

    def pause(self) -> None:
        """Close the file until more is written: there may be more uploads than a process may have files open."""
        self._file.close()

    def open(self) -> BinaryIO:
        """Read what was written, from the beginning."""
        return self.path.open("rb")

    def finish(self, path: Path) -> None:
        """Make it the file `path`, complete and synced."""
        os.fsync(self._opened().fileno())
        self._file.close()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(path)

    def discard(self) -> None:
        """Throw it away; nothing is done to one that was finished."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _opened(self) -> io.FileIO:
        if self._file.closed:
            self._file = self.path.open("ab", buffering=0)
        return self._file


class DirectoryStore:
    """A store that a restart finds again. Raises UsageError where another process owns the directory or it isn't one.

    What an earlier process left half written is removed, unless it is to be `looked_at` first; then the directory has
    to be a registry's already, else UsageError is raised.
    """

    def __init__(self, root: Path, *, looked_at: bool = False) -> None:
        self.root = root
        if looked_at and not (root / UPLOADS).is_dir():
            hint = "name the directory that `regkit registry serve --dir` was given"
            raise UsageError(f"{root} isn't the directory of a registry", hint=hint)
        self._lock = threading.Lock()
        self._names: dict[str, Names] = {}
        self._owned: int | None = None
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._owned = _own(root)
            if not looked_at:
                shutil.rmtree(root / UPLOADS, ignore_errors=True)
                (root / UPLOADS).mkdir()
        except OSError as error:
            self.close()
            hint = "choose a directory that can be written"
            raise UsageError(f"no registry can be in {root}: {error.strerror}", hint=hint) from None

    def path(self, repository: str) -> Path:
        """Give the directory of a repository's layout."""
        return self.root.joinpath(*(f"_{part}" if part in _RESERVED else part for part in repository.split("/")))

    def repositories(self) -> tuple[str, ...]:
        """Give the names of all repositories, sorted."""
        return tuple(sorted(self._walk(self.root, ())))

    def names(self, repository: str) -> Names | None:
        """Give a repository's names; None where there is no such repository."""
        with self._lock:
            names = self._names.get(repository)
            path = self.path(repository)
            if names is None and (path / INDEX).exists() and not self._linked(path):
                names = self._names[repository] = self._read_names(repository)
            return names

    def write_names(self, repository: str, names: Names) -> None:
        """Replace a repository's names."""
        self._create(repository)
        index = _index(names)
        if len(index) > MAX_INDEX:  # a restart couldn't read it
            raise OSError(errno.EFBIG, f"{repository} has more names than its index may hold")
        self._replace(self.path(repository) / INDEX, index)
        with self._lock:
            self._names[repository] = names

    def blob(self, repository: str, digest: Digest) -> File | None:
        """Give content; None where it isn't there."""
        path = self.path(repository) / blob_path(digest)
        size = None if self.names(repository) is None else size_of(path)
        return None if size is None else File(path, size)

    def files(self, repository: str) -> Iterator[tuple[Digest, Path]]:
        """List a repository's content, in no order, and the file of each; what isn't called by a digest isn't ours."""
        for path in (self.path(repository) / BLOBS).glob("*/*"):
            if path.is_dir() and not path.is_symlink():
                continue
            with suppress(UsageError):
                yield Digest(f"{path.parent.name}:{path.name}"), path

    def leftovers(self) -> tuple[Path, ...]:
        """List what an earlier process left half written."""
        return tuple((self.root / UPLOADS).iterdir())

    def draft(self) -> FileDraft:
        """Begin to write content."""
        return FileDraft(self.root / UPLOADS / uuid4().hex)

    def keep(self, repository: str, digest: Digest, draft: Draft) -> None:
        """Make a draft a repository's content."""
        assert isinstance(draft, FileDraft)  # drafts don't travel between stores
        self._create(repository)
        draft.finish(self.path(repository) / blob_path(digest))

    def mount(self, origin: str, repository: str, digest: Digest) -> bool:
        """Link the file of another repository, or copy it where the file system can't."""
        found = self.blob(origin, digest)
        if found is None:
            return False
        if self.blob(repository, digest) is not None:
            return True
        self._create(repository)
        temporary = self.root / UPLOADS / uuid4().hex
        path = self.path(repository) / blob_path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            try:
                os.link(found.path, temporary)
            except FileNotFoundError:
                return False  # deleted a moment ago
            except OSError:
                shutil.copyfile(found.path, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def remove(self, repository: str, digest: Digest) -> bool:
        """Remove a repository's content; False where it isn't there."""
        if self.names(repository) is None:
            return False
        try:
            (self.path(repository) / blob_path(digest)).unlink()
        except FileNotFoundError:
            return False
        return True

    def close(self) -> None:
        """Let another process own the directory."""
        if self._owned is not None:
            os.close(self._owned)
            self._owned = None

    def _create(self, repository: str) -> None:
        """Make an empty layout, unless there is one: its index last, which is what makes it a repository."""
        path = self.path(repository)
        with self._lock:
            if repository in self._names:
                return
            if self._linked(path):
                raise UsageError(f"no repository can be in {path}: a symbolic link in it would lead out of {self.root}")
            if (path / INDEX).exists():
                return
            path.mkdir(parents=True, exist_ok=True)
            self._replace(path / MARKER, MARKER_CONTENT)
            self._replace(path / INDEX, _index(Names()))
            self._names[repository] = Names()

    def _linked(self, path: Path) -> bool:
        """Whether a symbolic link leads to a repository's directory, or from it to its content."""
        parts = path.relative_to(self.root).parts
        above = (self.root.joinpath(*parts[:count]) for count in range(1, len(parts) + 1))
        inside = (path / name for name in (MARKER, INDEX, BLOBS, f"{BLOBS}/sha256", f"{BLOBS}/sha512"))
        return any(each.is_symlink() for each in (*above, *inside))

    def _replace(self, path: Path, content: bytes) -> None:
        draft = self.draft()
        try:
            draft.write(content)
            draft.finish(path)
        finally:
            draft.discard()

    def _read_names(self, repository: str) -> Names:
        """Read index.json; the children of its indexes are manifests too, as in a layout of another tool."""
        path = self.path(repository)
        manifests: dict[Digest, Descriptor] = {}
        tags: dict[str, Digest] = {}
        listed = self._read_index(path).manifests
        others = tuple(entry for entry in listed if not entry.is_manifest)
        waiting = list(listed)
        try:
            for entry in waiting:
                tag = entry.annotations.get(REF_NAME)
                if tag:
                    tags[tag] = entry.digest
            while waiting:
                entry = waiting.pop()
                if (
                    entry.digest in manifests
                    or not entry.is_manifest
                    or size_of(path / blob_path(entry.digest)) is None
                ):
                    continue
                manifests[entry.digest] = Descriptor(entry.media_type, entry.digest, entry.size)
                if entry.is_index:
                    with open_file(path / blob_path(entry.digest)) as stream:
                        waiting += Manifest(entry.media_type, bounded(stream, entry.digest)).manifests
        except ProtocolError as error:
            raise UsageError(f"{path} isn't a layout that can be served: {error.message}") from None
        return Names(manifests, {tag: digest for tag, digest in tags.items() if digest in manifests}, others)

    @staticmethod
    def _read_index(path: Path) -> Manifest:
        try:
            with open_regular(path / MARKER) as marker, open_regular(path / INDEX) as index:
                said, listed = read_bounded(marker, MAX_SIZE), read_bounded(index, MAX_INDEX)
        except OSError as error:
            raise UsageError(f"{path} isn't an OCI image layout: {error.strerror}") from None
        if said is None or listed is None:
            raise UsageError(f"{path} is a broken OCI image layout: a file of it is larger than one may be")
        return read_layout(path, said, listed)

    def _walk(self, path: Path, parts: tuple[str, ...]) -> Iterator[str]:
        if parts and (path / INDEX).is_file() and not self._linked(path):
            yield "/".join(parts)
        for child in path.iterdir():
            name = child.name.removeprefix("_")
            if child.is_symlink() or not child.is_dir() or child.name in _RESERVED:
                continue
            if name != child.name and name not in _RESERVED:
                continue
            yield from self._walk(child, (*parts, name))


def _index(names: Names) -> bytes:
    """Write index.json: a descriptor for each tag, sorted, then one for each manifest without."""
    tagged = [
        replace(names.manifests[digest], annotations={REF_NAME: tag}) for tag, digest in sorted(names.tags.items())
    ]
    standing = frozenset(names.tags.values())
    untagged = [manifest for digest, manifest in names.manifests.items() if digest not in standing]
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_INDEX,
        "manifests": [descriptor.to_json() for descriptor in (*tagged, *untagged, *names.others)],
    }
    return canonical_json(document)


def _own(root: Path) -> int:
    """Lock the directory; the kernel lets go of it however the process ends."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise UsageError(f"another registry serves {root}", hint="stop it, or choose another directory") from None
    return handle
