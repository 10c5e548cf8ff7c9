"""Content in files: read through no symbolic link, written whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from regkit.files import cant_write, open_regular, write_whole
from regkit.protocol.flow import Source

_PIECE = 1 << 20


class File(NamedTuple):
    """A Source over a file that has `size` bytes; only with `follow` over one to which a symbolic link leads."""

    path: Path
    size: int
    follow: bool = False

    @classmethod
    def named(cls, path: Path) -> Self:
        """Take a file that a user names, be it by a link; raise OSError where it can't be asked for its size."""
        return cls(path, path.stat().st_size, follow=True)

    def open(self) -> BinaryIO:
        """Start reading from the beginning; raise FileNotFoundError where it was removed meanwhile."""
        return self.path.open("rb") if self.follow else open_file(self.path)


def size_of(path: Path) -> int | None:
    """Give a file's size; None where there is none, or something else: a symbolic link leads out of its directory."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def open_file(path: Path) -> BinaryIO:
    """Read a file; OSError for a symbolic link, and for what isn't a file."""
    return open_regular(path, follow=False)


def write_atomically(path: Path, source: Source) -> None:
    """Write a file, and the directories above it, whole or not at all, also after a crash; raise UsageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cant_write(path.parent, error) from error
    with source.open() as stream:
        write_whole(path, iter(lambda: stream.read(_PIECE), b""))
