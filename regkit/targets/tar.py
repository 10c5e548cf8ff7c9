"""Tar files, read where they lie and written by many threads; nothing is ever extracted."""

from __future__ import annotations

import io
import os
import shlex
import tarfile
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from regkit.errors import ContentMismatch, ProtocolError, UsageError
from regkit.files import Partial, cant_read, open_regular
from regkit.protocol.flow import Source
from regkit.targets.gunzip import MAGIC, Gunzip

_MAX_MEMBERS = 65_536
_MAX_HEADER = 1 << 20
_PACKERS = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_LONGEST_MAGIC = 6
_HOLES = "pack it without --sparse"
_BLOCK = 512
_PIECE = 1 << 20
_BROKEN = (tarfile.TarError, zlib.error, EOFError, ValueError, ArithmeticError, LookupError)


class Region(NamedTuple):
    """Where a member's bytes lie."""

    offset: int
    size: int


class TarReader:
    """The members of a tar, plain or in gzip, by name: regular files in `regions`, symbolic links in `links`.

    Raise UsageError for what is no such file, for a name that stands in it twice or leads out of it, and for hard
    links, devices and whatever else an image has no use for. Every `open()` reads for itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.regions: dict[str, Region] = {}
        self.links: dict[str, str] = {}
        self._gunzip: Gunzip | None = None
        try:
            with open_regular(path) as file:
                self._identity = _identity(file)
                stream: Any = file
                start = file.read(_LONGEST_MAGIC)
                self._refuse_packed(start)
                if start.startswith(MAGIC):
                    self._gunzip = stream = Gunzip(file)
                stream.seek(0)
                self._scan(stream)
        except OSError as error:
            raise cant_read(path, error) from None
        except _BROKEN as error:
            raise UsageError(f"{path} is no tar archive, or a broken one: {error}") from None

    def open(self, name: str) -> BinaryIO:
        """Read a member from its beginning; raise KeyError where there is none."""
        region = self.regions[name]
        try:
            file = open_regular(self.path)
        except OSError as error:
            raise cant_read(self.path, error) from None
        if _identity(file) != self._identity:
            file.close()
            raise ContentMismatch(f"{self.path} was replaced while it was being read")
        if self._gunzip is None:
            return _buffered(lambda size, offset: _read_at(file, size, offset, self.path), region, file.close)
        stream = self._gunzip.on(file)
        stream.seek(region.offset)
        return _buffered(lambda size, _: _read_checked(stream, size, self.path), region, file.close)

    def read(self, name: str, limit: int) -> bytes:
        """Read a member whole; raise KeyError, or ProtocolError where it is larger than `limit` bytes."""
        if self.regions[name].size > limit:
            raise ProtocolError(f"{name} in {self.path} is larger than {limit} bytes")
        with self.open(name) as stream:
            return stream.read()

    def _refuse_packed(self, start: bytes) -> None:
        tool = next((tool for magic, tool in _PACKERS.items() if start.startswith(magic)), None)
        if tool is not None:
            raise UsageError(
                f"{self.path} is packed with {tool}: a tar is read, and one in gzip",
                hint=f"unpack it: {tool} -dc {shlex.quote(str(self.path))} > archive.tar",
            )

    def _scan(self, stream: Any) -> None:
        end = None if self._gunzip else os.fstat(stream.fileno()).st_size
        with tarfile.open(fileobj=_HeadersOnly(stream), mode="r:") as tar:  # type: ignore[call-overload]
            while (member := tar.next()) is not None:
                if self._gunzip:
                    self._gunzip.mark()
                if member.issparse():
                    raise UsageError(
                        f"{self.path} has a member with holes that are left out: {member.name!r}", hint=_HOLES
                    )
                if member.size < 0 or (end is not None and member.isreg() and member.offset_data + member.size > end):
                    raise UsageError(f"{self.path} is cut off, or lies about the size of {member.name!r}")
                self._take(member)
                if len(self.regions) + len(self.links) > _MAX_MEMBERS:
                    raise UsageError(f"{self.path} has more than {_MAX_MEMBERS} members")

    def _take(self, member: tarfile.TarInfo) -> None:
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        name = "/".join(parts)
        if member.name.startswith("/") or ".." in parts:
            raise UsageError(f"{self.path} has a member whose name leads out of it: {member.name!r}")
        if member.isdir():
            return
        if name in self.regions or name in self.links:
            raise UsageError(f"{self.path} has two members named {name!r}")
        if member.issym():
            self.links[name] = member.linkname
        elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            self.regions[name] = Region(member.offset_data, member.size)
        else:
            what = "that is a hard link" if member.islnk() else "that is neither file nor directory"
            raise UsageError(f"{self.path} has a member {what}: {name!r}")


class TarWriter:
    """A tar that many threads add to at once, each in a place of its own; it replaces `path` when it is finished.

    Same members in the same order, same bytes. What failed while it was added is in the way of nothing.
    """

    def __init__(self, path: Path) -> None:
        self._partial = Partial(path)
        self._lock = threading.Lock()
        self._end = 0
        self._holes = False
        self.regions: dict[str, Region] = {}

    def add(self, name: str, source: Source) -> None:
        """Copy a source's bytes; it must raise, while being read, if there are more or fewer than its `size`."""
        header = _header(name, source.size)
        padding = bytes(-source.size % _BLOCK)
        length = len(header) + source.size + len(padding)
        with self._lock:
            start = self._end
            self._end += length
            handle = self._partial.dup()
        try:
            with handle, source.open() as stream:
                offset = handle.write(header, start)
                while data := stream.read(_PIECE):
                    offset = handle.write(data, offset)
                handle.write(padding, offset)
        except BaseException:
            self._give_back(start, length)
            raise
        with self._lock:
            twin = name in self.regions
            self.regions.setdefault(name, Region(start + len(header), source.size))
        if twin:
            self._give_back(start, length)

    def open(self, name: str) -> BinaryIO:
        """Read back what was added; raise KeyError where there is none."""
        with self._lock:
            region, handle = self.regions[name], self._partial.dup()
        return _buffered(handle.read, region, handle.close)

    def drop(self, name: str) -> None:
        """Leave out what was added, if it was."""
        with self._lock:
            self._holes |= self.regions.pop(name, None) is not None

    def finish(self) -> None:
        """Put the archive in its place."""
        if self._holes:
            self._compact()
        with self._partial.dup() as handle:
            handle.truncate(self._end)
            handle.write(bytes(2 * _BLOCK), self._end)
        self._partial.commit()

    def discard(self) -> None:
        """Give it up; nothing stays."""
        self._partial.discard()

    def _give_back(self, start: int, length: int) -> None:
        with self._lock:
            if self._end == start + length:
                self._end = start
            else:
                self._holes = True

    def _compact(self) -> None:
        """Write it anew without what failed or was dropped."""
        whole = TarWriter(self._partial.path)
        try:
            for name, region in sorted(self.regions.items(), key=lambda item: item[1].offset):
                whole.add(name, _Member(self, name, region.size))
        except BaseException:
            whole.discard()
            raise
        finally:
            self._partial.discard()
        self._partial, self._end, self.regions = whole._partial, whole._end, whole.regions
        self._holes = False


class _Member(NamedTuple):
    writer: TarWriter
    name: str
    size: int

    def open(self) -> BinaryIO:
        return self.writer.open(self.name)


class _Stream(io.RawIOBase):
    """A region's bytes, read with `read_at(size, offset)`."""

    def __init__(self, read_at: Callable[[int, int], bytes], region: Region, close: Callable[[], None]) -> None:
        self._read_at, self._close = read_at, close
        self._offset, self._left = region

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._read_at(min(len(buffer), self._left), self._offset) if self._left else b""
        buffer[: len(data)] = data
        self._offset += len(data)
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._close()
        super().close()


def _buffered(read_at: Callable[[int, int], bytes], region: Region, close: Callable[[], None]) -> BinaryIO:
    return io.BufferedReader(_Stream(read_at, region, close), 1 << 16)


class _HeadersOnly:
    """What `tarfile` sees of a file: it reads headers, and those have no reason to be large."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise tarfile.ReadError("a header is too large")
        data: bytes = self._stream.read(size)
        return data


def _read_at(file: BinaryIO, size: int, offset: int, path: Path) -> bytes:
    try:
        return os.pread(file.fileno(), size, offset)
    except OSError as error:
        raise cant_read(path, error) from None


def _read_checked(stream: Gunzip, size: int, path: Path) -> bytes:
    try:
        return stream.read(size)
    except OSError as error:
        raise cant_read(path, error) from None
    except _BROKEN as error:
        raise ContentMismatch(f"{path} is broken: {error}") from None


def _identity(file: BinaryIO) -> tuple[int, ...]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o644, 0
    return member.tobuf(tarfile.PAX_FORMAT)
