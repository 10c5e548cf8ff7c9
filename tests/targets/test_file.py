"""Content in files: read through no link unless that is meant, written whole or not at all."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from regkit.errors import RegkitError
from regkit.oci.digest import Digest
from regkit.protocol.flow import Bytes
from regkit.targets.file import File, size_of, write_atomically
from regkit.targets.verified import read_all

DATA = b"some content"


def test_a_file_that_is_named(tmp_path: Path) -> None:
    """It is read anew at each opening, be it behind a link."""
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(DATA)
    link.symlink_to(path)

    for source in (File.named(path), File.named(link)):
        assert source.size == len(DATA)
        for _ in range(2):
            with source.open() as stream:
                assert Digest.read(stream) == Digest.of(DATA)


def test_a_link_that_took_a_files_place(tmp_path: Path) -> None:
    """What was found in a directory isn't read anywhere else."""
    path, outside = tmp_path / "file", tmp_path / "outside"
    path.write_bytes(DATA)
    outside.write_bytes(DATA)
    size = size_of(path)
    assert size is not None
    source = File(path, size)
    assert read_all(source, len(DATA)) == DATA

    path.unlink()
    path.symlink_to(outside)
    assert size_of(path) is None
    with pytest.raises(OSError, match="symbolic links"):
        source.open()


@pytest.mark.parametrize("nameless", [True, False])
def test_who_may_read_a_file(tmp_path: Path, nameless: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file has the mode that the umask leaves, one that is replaced keeps its own."""
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE")
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "x", Bytes(b"1"))
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640
        (tmp_path / "x").chmod(0o604)
        write_atomically(tmp_path / "x", Bytes(b"2"))
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o604
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A directory that can't be, and a file where a directory stands, are said in a sentence."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "directory" / "x").mkdir(parents=True)

    for path in (tmp_path / "file" / "x" / "y", tmp_path / "directory"):
        with pytest.raises(RegkitError, match="can't be written"):
            write_atomically(path, Bytes(b"1"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A file is there whole or not at all, and no temporary one stays; what was there before stays as it was."""

    class Breaking(Bytes):
        def open(self) -> BinaryIO:
            class Stream(io.BytesIO):
                def read(self, size: int | None = -1) -> bytes:
                    if self.tell():
                        raise OSError(28, "No space left on device")
                    return super().read(min(size or 4, 4))

            return Stream(self.data)

    path = tmp_path / "deep" / "file"
    write_atomically(path, Bytes(b"before"))

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, Breaking(b"after, and not whole"))

    assert path.read_bytes() == b"before"
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path]
