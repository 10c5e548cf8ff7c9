"""Files that are there whole, or not at all."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from regkit.errors import RegkitError, UsageError
from regkit.files import open_regular, write_whole


@pytest.fixture(params=[True, False], ids=["without a name", "with a name"])
def nameless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in which a file is begun, as the file system allows."""
    if not request.param:
        monkeypatch.delattr(os, "O_TMPFILE")


@pytest.mark.usefixtures("nameless")
def test_a_mode_that_is_asked_for(tmp_path: Path) -> None:
    """It holds from the first byte on, whatever the umask, and whatever the file had before."""
    path, seen = tmp_path / "x", list[int]()

    def pieces() -> Iterator[bytes]:
        seen.extend(other.stat().st_mode & 0o777 for other in tmp_path.iterdir() if other != path)
        yield b"secret"

    path.write_bytes(b"before")
    path.chmod(0o644)
    write_whole(path, pieces(), mode=0o600)

    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"secret", 0o600)
    assert set(seen) <= {0o600}


@pytest.mark.usefixtures("nameless")
def test_an_error_in_the_middle(tmp_path: Path) -> None:
    """What was there stays, and nothing lies beside it."""
    path = tmp_path / "x"
    path.write_bytes(b"before")

    def pieces() -> Iterator[bytes]:
        yield b"after"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, pieces())
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("x", b"before")]


@pytest.mark.usefixtures("nameless")
def test_no_room(tmp_path: Path) -> None:
    """That isn't the user's mistake; what was there stays."""
    path = tmp_path / "x"
    path.write_bytes(b"before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(RegkitError, match="can't be written: File too large") as caught:
            write_whole(path, [b"x" * 100])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert caught.value.exit_code == 1
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("x", b"before")]


@pytest.mark.parametrize("path", ["nowhere/x", "directory", "file/x"])
def test_a_place_where_no_file_can_be(tmp_path: Path, path: str) -> None:
    """A wrong name is the user's to mend: exit code 2, and a hint."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(UsageError, match="can't be written") as caught:
        write_whole(tmp_path / path, [b"1"])
    assert caught.value.hint is not None
    assert sorted(each.name for each in tmp_path.iterdir()) == ["directory", "file"]


def test_only_files_are_read(tmp_path: Path) -> None:
    """A link counts as what it leads to, unless it isn't to be followed; nothing is left open."""
    file, link, pipe, directory = (tmp_path / name for name in ("file", "link", "pipe", "directory"))
    file.write_bytes(b"content")
    link.symlink_to(file)
    os.mkfifo(pipe)
    directory.mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in (file, link):
        with open_regular(path) as stream:
            assert stream.read() == b"content"
    for path, follow in ((pipe, True), (directory, True), (Path("/dev/zero"), True), (link, False), (pipe, False)):
        with pytest.raises(OSError, match=r"it isn't a file|symbolic links"):
            open_regular(path, follow=follow)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
