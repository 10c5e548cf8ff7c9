"""Files that aren't there before they are whole."""

from __future__ import annotations

import errno
import os
import secrets
import threading
from pathlib import Path
from typing import Self

from regkit.errors import RegkitError

_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS})


class Partial:
    """What will be `path`: written at offsets, from any thread, then put in its place at once, or never.

    A symbolic link is replaced, not followed. Until it is whole it has no name where the file system allows that, so
    that not even SIGKILL leaves it behind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor, self._named = _create(self.path)
        self._lock = threading.Lock()

    def dup(self) -> PartialHandle:
        """Give a handle of its own to a thread: it stays valid, and harmless, whatever becomes of the whole."""
        with self._lock:
            if self._descriptor < 0:
                raise RegkitError(f"{self.path} isn't being written any more")
            return PartialHandle(os.dup(self._descriptor), self.path)

    def commit(self) -> None:
        """Put it in its place, whole also after a crash of the machine; keep the mode of the file that was there."""
        try:
            if self.path.is_file() and not self.path.is_symlink():
                os.fchmod(self._descriptor, self.path.stat().st_mode & 0o7777)
            os.fsync(self._descriptor)
            if self._named is None:
                self._named = _give_name(self._descriptor, self.path)
            self._named.replace(self.path)
            self._named = None
        except OSError as error:
            raise cant_write(self.path, error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Give it up; nothing stays. Again, or after `commit`: nothing happens."""
        with self._lock:
            if self._named is not None:
                self._named.unlink(missing_ok=True)
                self._named = None
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


class PartialHandle:
    """One thread's way into a Partial; a context manager that closes it."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor, self._path = descriptor, path

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)

    def write(self, data: bytes, offset: int) -> int:
        """Write all of `data` at `offset`, and give the offset behind it."""
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._descriptor, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            raise cant_write(self._path, error) from error
        return offset

    def read(self, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at `offset`."""
        return os.pread(self._descriptor, size, offset)

    def truncate(self, size: int) -> None:
        """Cut it off, or let it grow by zeros."""
        os.ftruncate(self._descriptor, size)


def cant_write(path: Path, error: OSError) -> RegkitError:
    """Say which file can't be written, and why."""
    return RegkitError(f"{path} can't be written: {error.strerror or error}")


def _give_name(descriptor: int, path: Path) -> Path:
    """Link an open file that has no name into the directory of `path`."""
    named = _temporary_name(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # With a directory given, Python calls linkat, which follows the link in /proc to the open file.
        os.link(f"/proc/self/fd/{descriptor}", named.name, dst_dir_fd=directory)
    finally:
        os.close(directory)
    return named


def _create(path: Path) -> tuple[int, Path | None]:
    """Open a file without a name in the directory of `path`, else one with a temporary name."""
    try:
        if hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").is_dir():
            try:
                return os.open(path.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666), None
            except OSError as error:
                if error.errno not in _NO_TMPFILE:
                    raise
        named = _temporary_name(path)
        return os.open(named, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666), named
    except OSError as error:
        raise cant_write(path, error) from error


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".partial-{secrets.token_hex(8)}")
