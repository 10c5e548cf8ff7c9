from __future__ import annotations

import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import ContentMismatch, ProtocolError, RegkitError, UsageError
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.layout import blob_path
from regkit.oci.manifest import MAX_SIZE, Manifest, assemble_index
from regkit.ops.tasks import each
from regkit.protocol.flow import Bytes
from regkit.targets.archive import Archive
from regkit.targets.layout import Layout
from regkit.targets.tar import TarReader
from regkit.targets.verified import read_all
from tests.support.waiting import until

DATA = b"a layer's bytes"
BLOB = Descriptor.of(mediatype.OCI_LAYER_GZIP, DATA)
INDEX = assemble_index((), {"k": "v"})
MARKER = ("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')


def listing(*manifests: Manifest) -> tuple[str, bytes]:
    return "index.json", json.dumps({"manifests": [m.descriptor.to_json() for m in manifests]}).encode()


def blob(data: bytes) -> tuple[str, bytes]:
    return str(blob_path(Digest.of(data))), data


def tar(path: Path, members: Iterable[tuple[str, bytes] | tarfile.TarInfo], *, packed: bool = False) -> Path:
    """Write a tar of members as they are given, whatever they are."""
    with tarfile.open(path, "w:gz" if packed else "w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def names(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return archive.getnames()


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def begin(path: Path) -> Path:
    with Archive(path, create=True) as archive:
        archive.push(BLOB, Bytes(DATA))
        archive.push(INDEX.descriptor, Bytes(INDEX.raw), "1")
    return path


def test_what_is_written(tmp_path: Path) -> None:
    """A tar of the layout: content in the order of its pushes, then the marker, the index last; no owner, no time."""
    path = begin(tmp_path / "x.tar")

    with tarfile.open(path) as archive:
        members = archive.getmembers()
    assert [m.name for m in members] == [blob(DATA)[0], blob(INDEX.raw)[0], "oci-layout", "index.json"]
    assert {(m.mode, m.uid, m.gid, m.uname, m.gname, m.mtime, m.type) for m in members} == {
        (0o644, 0, 0, "", "", 0, tarfile.REGTYPE)
    }
    assert path.stat().st_size % 512 == 0
    assert files(tmp_path) == ["x.tar"]


def test_same_pushes_same_bytes(tmp_path: Path) -> None:
    """The bytes depend on nothing but what is pushed in which order."""
    assert begin(tmp_path / "a.tar").read_bytes() == begin(tmp_path / "b.tar").read_bytes()


def test_failures_change_no_bytes(tmp_path: Path) -> None:
    """A push that failed in the middle, or content deleted again, leaves no trace in the file."""
    clean = begin(tmp_path / "clean.tar").read_bytes()
    wrong = Descriptor.of("x/y", b"never")
    release, began = threading.Event(), threading.Event()

    class Slow(Bytes):
        def open(self) -> BinaryIO:
            began.set()
            release.wait()
            return io.BytesIO(b"other")

    def push_wrong() -> None:
        with pytest.raises(ContentMismatch):
            archive.push(wrong, Slow(b"other"))

    with Archive(tmp_path / "x.tar", create=True) as archive:
        thread = threading.Thread(target=push_wrong)
        thread.start()
        began.wait()  # its place is taken, the others come behind
        archive.push(BLOB, Bytes(DATA))
        release.set()
        thread.join()
        archive.push(Descriptor.of("x/y", b"gone"), Bytes(b"gone"))
        archive.push(INDEX.descriptor, Bytes(INDEX.raw), "1")
        archive.delete(Descriptor.of("x/y", b"gone"))

    assert (tmp_path / "x.tar").read_bytes() == clean
    assert files(tmp_path) == ["clean.tar", "x.tar"]


def test_adding(tmp_path: Path) -> None:
    """What was there stays, what is new comes to it, names move; the file keeps its mode."""
    path = begin(tmp_path / "x.tar")
    path.chmod(0o640)
    other = assemble_index((), {"k": "other"})

    with Archive(path, create=True) as archive:
        archive.push(other.descriptor, Bytes(other.raw), "1")

    again = Archive(path)
    assert again.manifest("1") == other
    assert again.manifest(INDEX.digest) == INDEX
    assert read_all(again.fetch(BLOB), 100) == DATA
    assert path.stat().st_mode & 0o777 == 0o640
    assert len(names(path)) == len(set(names(path))) == 5


def test_reading_writes_nothing(tmp_path: Path) -> None:
    """An archive that is only read stays the same file; so it does where all that is pushed is there."""
    path = begin(tmp_path / "x.tar")
    before = path.stat()

    with Archive(path, create=True) as archive:
        archive.push(BLOB, Bytes(DATA))
        assert archive.tags() == ("1",)

    assert path.stat() == before


def push_and_fail(path: Path, error: BaseException) -> None:
    with Archive(path, create=True) as archive:
        archive.push(Descriptor.of("x/y", b"new"), Bytes(b"new"), "2")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ContentMismatch("x")])
@pytest.mark.parametrize("nameless", [True, False])
def test_an_error_leaves_all_as_it_was(
    tmp_path: Path, error: BaseException, nameless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error or Ctrl-C the old archive is what it was, there is no new one, and nothing lies beside them.

    So it is on file systems without files without a name.
    """
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE")
    path = begin(tmp_path / "x.tar")
    before = path.read_bytes()

    for name in ("x.tar", "new.tar"):
        with pytest.raises(type(error)):
            push_and_fail(tmp_path / name, error)

    assert path.read_bytes() == before
    assert files(tmp_path) == ["x.tar"]


def test_pushing_after_the_end(tmp_path: Path) -> None:
    """A thread that still runs after Ctrl-C begins no new file."""
    archive = Archive(tmp_path / "x.tar", create=True)
    with pytest.raises(KeyboardInterrupt), archive:
        raise KeyboardInterrupt

    with pytest.raises(RegkitError, match="isn't being written any more"):
        archive.push(BLOB, Bytes(DATA))
    assert files(tmp_path) == []


KILLED = """
import sys
from pathlib import Path
from regkit.oci.descriptor import Descriptor
from regkit.protocol.flow import Bytes
from regkit.targets.archive import Archive
with Archive(Path(sys.argv[1]), create=True) as archive:
    archive.push(Descriptor.of("x/y", b"new"), Bytes(b"new"))
    print("written", flush=True)
    sys.stdin.read()
"""


def test_sigkill(tmp_path: Path) -> None:
    """Not even SIGKILL leaves half a file: until it is whole it has no name."""
    path = begin(tmp_path / "x.tar")
    before = path.read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    until(lambda: process.poll() is not None, "it is gone", 10)

    assert path.read_bytes() == before
    assert files(tmp_path) == ["x.tar"]


FULL = """
import resource, sys
from pathlib import Path
from regkit.errors import RegkitError
from regkit.oci.descriptor import Descriptor
from regkit.protocol.flow import Bytes
from regkit.targets.archive import Archive
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
data = bytes(1_000_000)
try:
    with Archive(Path(sys.argv[1]), create=True) as archive:
        archive.push(Descriptor.of("x/y", data), Bytes(data))
except RegkitError as error:
    print(error)
"""


def test_no_room(tmp_path: Path) -> None:
    """A file that can't grow is said in a sentence, and nothing stays."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / "x.tar"], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )

    assert done.stdout.strip().endswith("x.tar can't be written: File too large")
    assert files(tmp_path) == []


def test_a_damaged_archive_is_not_copied(tmp_path: Path) -> None:
    """Content that lost its digest isn't carried into a new archive; the old one stays."""
    path = begin(tmp_path / "x.tar")
    path.write_bytes(path.read_bytes().replace(DATA, b"X" + DATA[1:]))
    before = path.read_bytes()

    with pytest.raises(ContentMismatch, match=f"the blob {BLOB.digest} of oci-archive:"), Archive(path) as archive:
        archive.push(Descriptor.of("x/y", b"new"), Bytes(b"new"))

    assert path.read_bytes() == before
    assert files(tmp_path) == ["x.tar"]


def test_a_link_to_an_archive(tmp_path: Path) -> None:
    """Writing through a symbolic link replaces the file, not the link."""
    begin(tmp_path / "x.tar")
    (tmp_path / "link").symlink_to("x.tar")

    with Archive(tmp_path / "link", create=True) as archive:
        archive.push(INDEX.descriptor, Bytes(INDEX.raw), "2")

    assert (tmp_path / "link").is_symlink()
    assert set(Archive(tmp_path / "x.tar").tags()) == {"1", "2"}


@pytest.mark.parametrize("packed", [True, False])
def test_other_tools_spellings(tmp_path: Path, packed: bool) -> None:
    """Directories, `./` before names, files that are no part of a layout, gzip: all of it is read."""
    members = [special("./", tarfile.DIRTYPE), special("./blobs/", tarfile.DIRTYPE)]
    files = [("./oci-layout", MARKER[1]), ("./index.json", listing(INDEX)[1]), ("./" + blob(INDEX.raw)[0], INDEX.raw)]
    path = tar(tmp_path / "x", [*members, ("./README", b"hello"), *files], packed=packed)

    archive = Archive(path)

    assert archive.roots == (INDEX.descriptor,)
    assert archive.manifest(INDEX.digest) == INDEX


def test_gzip_is_read_from_anywhere(tmp_path: Path) -> None:
    """In gzip, content is read in any order, and by many at once, also where several streams follow each other."""
    pieces = [random.Random(n).randbytes(700_000 + n) for n in range(8)]
    raw = tar(tmp_path / "plain", [MARKER, listing(INDEX), *map(blob, pieces), blob(INDEX.raw)]).read_bytes()
    half = len(raw) // 2
    (tmp_path / "x").write_bytes(gzip.compress(raw[:half], 1) + gzip.compress(raw[half:], 1) + bytes(700))

    archive = Archive(tmp_path / "x")

    descriptors = [Descriptor.of("x/y", piece) for piece in pieces]
    order = [*reversed(range(8)), 3, 0, 7]
    assert each(lambda n: read_all(archive.fetch(descriptors[n]), 1 << 20) == pieces[n], order) == [True] * len(order)


def test_many_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many members there are, the places kept in a gzip file stay few, and all is found."""
    monkeypatch.setattr("regkit.targets.gunzip._MAX_POINTS", 4)
    pieces = [random.Random(n).randbytes(1_100_000) for n in range(12)]
    path = tar(tmp_path / "x", [MARKER, listing(), *map(blob, pieces)], packed=True)

    archive = Archive(path)

    for piece in (*pieces, *reversed(pieces)):
        assert read_all(archive.fetch(Descriptor.of("x/y", piece)), 1 << 21) == piece


HOSTILE: list[Any] = [
    pytest.param([("../evil", b"x")], "leads out of it", id="traversal"),
    pytest.param([("blobs/../../evil", b"x")], "leads out of it", id="deep traversal"),
    pytest.param([("/etc/passwd", b"x")], "leads out of it", id="absolute"),
    pytest.param([special(blob(DATA)[0], tarfile.SYMTYPE, "/etc/passwd")], "symbolic link", id="symlink"),
    pytest.param([special(blob(DATA)[0], tarfile.LNKTYPE, "/etc/passwd")], "that is a hard link", id="hardlink"),
    pytest.param([special("null", tarfile.CHRTYPE)], "neither file nor directory", id="device"),
    pytest.param([special("pipe", tarfile.FIFOTYPE)], "neither file nor directory", id="pipe"),
    pytest.param([blob(DATA), blob(DATA)], "two members named 'blobs/", id="twice"),
    pytest.param([MARKER], "two members named 'oci-layout'", id="marker twice"),
    pytest.param([("./index.json", b"{}")], "two members named 'index.json'", id="index twice"),
]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("members", "said"), HOSTILE)
def test_hostile_archives(tmp_path: Path, members: list[Any], said: str, packed: bool) -> None:
    """Names that lead out, links, devices, and a name that stands there twice are refused; the file is named."""
    path = tar(tmp_path / "x.tar", [MARKER, listing(), *members], packed=packed)

    with pytest.raises(UsageError, match=said) as caught:
        Archive(path)

    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["gnu", "posix"])
def test_members_with_holes(tmp_path: Path, kind: str) -> None:
    """What tar left the zeros out of can't be read where it lies: that is said, and how to pack it."""
    with Layout(tmp_path / "layout", create=True) as layout:
        layout.push(BLOB, Bytes(DATA))
    with (tmp_path / "layout" / "holes").open("wb") as file:
        file.truncate(10 << 20)
    subprocess.run(["tar", "-cSf", tmp_path / "x.tar", f"--format={kind}", "-C", tmp_path / "layout", "."], check=True)

    with pytest.raises(UsageError, match=r"holes that are left out: '\./holes'") as caught:
        Archive(tmp_path / "x.tar")

    assert "--sparse" in str(caught.value.hint)


@pytest.mark.parametrize("tool", ["bzip2", "xz", "zstd"])
def test_packed_otherwise(tmp_path: Path, tool: str) -> None:
    """What is packed with another tool than gzip is refused with the command that unpacks it, and that one does."""
    path = tar(tmp_path / "an archive", [MARKER, listing(INDEX), blob(INDEX.raw)])
    packed = tmp_path / "the same, packed"
    with packed.open("wb") as file:
        subprocess.run([tool, "-c", path], stdout=file, check=True)

    with pytest.raises(UsageError, match=f"is packed with {tool}") as caught:
        Archive(packed)

    hint = str(caught.value.hint)
    subprocess.run(hint.removeprefix("unpack it: "), shell=True, cwd=tmp_path, check=True)
    assert Archive(tmp_path / "archive.tar").roots == (INDEX.descriptor,)


def test_odd_names_are_no_content(tmp_path: Path) -> None:
    """Only what a digest names is content; other files are nobody's business."""
    digest = BLOB.digest
    odd = [f"blobs/sha256/{digest.hex.upper()}", f"sha256/{digest.hex}", f"blobs/sha256/x/{digest.hex}", "blobs/md5/x"]
    archive = Archive(tar(tmp_path / "x.tar", [MARKER, listing(), *[(name, DATA) for name in odd]]))

    assert not archive.exists(BLOB)
    assert archive.roots == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "no tar archive", id="nothing"),
        pytest.param(b"hello" * 1000, "no tar archive", id="text"),
        pytest.param(gzip.compress(b"hello" * 1000), "no tar archive", id="gzip of text"),
        pytest.param(gzip.compress(b"hello")[:12], "no tar archive", id="half a gzip"),
        pytest.param(b"\x1f\x8b\x08", "no tar archive", id="the start of a gzip"),
    ],
)
def test_no_archives(tmp_path: Path, content: bytes, said: str) -> None:
    """A file that is no tar is the user's mistake, said in a sentence."""
    (tmp_path / "x").write_bytes(content)

    for create in (True, False):
        with pytest.raises(UsageError, match=said):
            Archive(tmp_path / "x", create=create)


def test_no_layouts(tmp_path: Path) -> None:
    """So is a tar that holds no layout, a broken one or one of a later version, and a file that isn't there."""
    for members, said in (
        ([], "isn't an archive of an OCI image layout"),
        ([MARKER], "isn't an archive of an OCI image layout"),
        ([MARKER, ("index.json", b"[")], "broken OCI image layout"),
        ([MARKER, ("index.json", b" " * (MAX_SIZE + 1))], "broken OCI image layout"),
        ([("oci-layout", b'{"imageLayoutVersion": "2"}'), listing()], "unknown version '2'"),
    ):
        with pytest.raises(UsageError, match=said):
            Archive(tar(tmp_path / "x.tar", members))
    with pytest.raises(UsageError, match="No such file"):
        Archive(tmp_path / "none.tar")
    with pytest.raises(UsageError, match="isn't a directory"):
        Archive(tmp_path / "none" / "x.tar", create=True)
    with pytest.raises(UsageError, match=r"can't be read|isn't a file"):
        Archive(tmp_path, create=True)
    with pytest.raises(UsageError, match="isn't a file"):
        Archive(Path(os.devnull), create=True)


def test_a_header_that_asks_for_memory(tmp_path: Path) -> None:
    """An extended header that claims gigabytes is refused before it is read."""
    info = special("x", tarfile.XHDTYPE)
    info.size = 1 << 30
    (tmp_path / "x").write_bytes(info.tobuf() + bytes(4096))

    with pytest.raises(UsageError, match="too large"):
        Archive(tmp_path / "x")


def test_cut_off(tmp_path: Path) -> None:
    """An archive that ends too early is refused, wherever it was cut, or it lacks nothing that counts."""
    raw = begin(tmp_path / "x.tar").read_bytes()
    for packed in (False, True):
        whole = gzip.compress(raw) if packed else raw
        for end in range(0, len(whole), 97):
            (tmp_path / "cut").write_bytes(whole[:end])
            try:
                archive = Archive(tmp_path / "cut")
            except UsageError:
                continue
            assert archive.manifest("1") == INDEX
            assert read_all(archive.fetch(BLOB), 100) == DATA


@given(data=st.data())
def test_damage_is_noticed(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever byte is changed, an archive is refused, lacks something, or gives the right bytes."""
    directory = tmp_path_factory.mktemp("damage")
    raw = bytearray(begin(directory / "x.tar").read_bytes())
    packed = data.draw(st.booleans())
    if packed:
        raw = bytearray(gzip.compress(bytes(raw), mtime=0))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (directory / "x.tar").write_bytes(raw)

    try:
        archive = Archive(directory / "x.tar")
        if archive.exists(BLOB):
            assert read_all(archive.fetch(BLOB), 100) == DATA
        assert archive.manifest(INDEX.digest).raw == INDEX.raw
    except RegkitError:
        pass


def test_replaced_while_it_is_read(tmp_path: Path) -> None:
    """Where another file takes its place, reading on is an error that says so."""
    path = begin(tmp_path / "x.tar")
    archive = Archive(path)
    (tmp_path / "y").write_bytes(bytes(path.stat().st_size))
    (tmp_path / "y").replace(path)

    with pytest.raises(ContentMismatch, match="was replaced while it was being read"):
        read_all(archive.fetch(BLOB), 100)


def test_limits_of_reading_whole(tmp_path: Path) -> None:
    """What is read at once is bounded, before anything is read."""
    reader = TarReader(begin(tmp_path / "x.tar"))

    assert reader.read("oci-layout", 100) == MARKER[1]
    with pytest.raises(ProtocolError, match="larger than 3 bytes"):
        reader.read("oci-layout", 3)
    with pytest.raises(KeyError):
        reader.open("nothing")


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of members is bounded."""
    monkeypatch.setattr("regkit.targets.tar._MAX_MEMBERS", 2)

    with pytest.raises(UsageError, match="more than 2 members"):
        Archive(begin(tmp_path / "x.tar"))
