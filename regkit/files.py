"""Files: written so that they aren't there before they are whole, and read where somebody else may have put them."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Self

from regkit.errors import RegkitError, UsageError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_BROKEN = frozenset({errno.EIO, errno.ESTALE})
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS})


class Partial:
    """What will be `path`: written at offsets, from any thread, then put in its place at once, or never.

    It gets `mode`, else that of the file which was there, else what the umask leaves. A symbolic link is replaced, not
    followed. Until it is whole it has no name where the file system allows that, so
    that not even SIGKILL leaves it behind.
    """

    def __init__(self, path: Path, mode: int | None = None) -> None:
        self.path, self._mode = path, mode
        self._descriptor, self._named = _create(self.path, 0o666 if mode is None else mode)
        self._lock = threading.Lock()

    def dup(self) -> PartialHandle:
        """Give a handle of its own to a thread: it stays valid, and harmless, whatever becomes of the whole."""
        with self._lock:
            if self._descriptor < 0:
                raise RegkitError(f"{self.path} isn't being written any more")
            return PartialHandle(os.dup(self._descriptor), self.path)

    def commit(self) -> None:
        """Put it in its place, whole also after a crash of the machine."""
        try:
            if self._mode is None and self.path.is_file() and not self.path.is_symlink():
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


def write_whole(path: Path, pieces: Iterable[bytes], mode: int | None = None) -> None:
    """Write a file that is there whole or not at all, also after a crash; raise UsageError where it can't be there."""
    partial = Partial(path, mode)
    try:
        with partial.dup() as output:
            offset = 0
            for piece in pieces:
                offset = output.write(piece, offset)
        partial.commit()
    finally:
        partial.discard()


def check_writable(path: Path) -> None:
    """Raise UsageError where a file, and the directories above it, couldn't be written; nothing is made.

    For who finds out now, and writes after an hour's work.
    """
    try:
        if path.is_dir():
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        first = path
        while not first.parent.exists():
            first = first.parent
        if first.parent != path.parent and first.is_symlink():
            raise OSError(errno.EEXIST, "it is a link that leads nowhere")
    except OSError as error:
        raise cant_write(path, error) from None
    Partial(first).discard()


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open a file to read; raise OSError for whatever is none, and without `follow` for a symbolic link.

    A pipe in a file's place would be waited for without end, and a device has none.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(number, "it isn't a file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def cant_write(path: Path, error: OSError) -> RegkitError:
    """Say which file can't be written, and why: a UsageError, except where there is no room."""
    message = f"{path} can't be written: {error.strerror or error}"
    if error.errno in _NO_ROOM:
        return RegkitError(message, hint="make room, or choose another place")
    return UsageError(message, hint=f"check that {path.parent} is a directory that you may write to")


def cant_read(what: object, error: OSError) -> RegkitError:
    """Say what can't be read, and why: a UsageError, except where the medium fails."""
    message = f"{what} can't be read: {error.strerror or error}"
    if error.errno in _BROKEN:
        return RegkitError(message)
    hint = "check that you may read it, and enter the directories above it" if error.errno in _DENIED else None
    return UsageError(message, hint=hint)


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


def _create(path: Path, mode: int) -> tuple[int, Path | None]:
    """Open a file without a name in the directory of `path`, else one with a temporary name."""
    try:
        if hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").is_dir():
            try:
                return os.open(path.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode), None
            except OSError as error:
                if error.errno not in _NO_TMPFILE:
                    raise
        named = _temporary_name(path)
        return os.open(named, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, mode), named
    except OSError as error:
        raise cant_write(path, error) from error


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".partial-{secrets.token_hex(8)}")
