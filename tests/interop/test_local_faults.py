"""What a machine's own files can do to a command: one sentence, its exit code, and what was there stays."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.support.command import output_of, peer, regkit, started
from tests.support.layouts import make_layout

PLACES = {
    "ocidir": "ocidir://there:built",
    "oci-archive": "oci-archive:there.tar:built",
    "docker-archive": "docker-archive:saved.tar:app:built",
}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a working directory with an image in a layout and in two archives, and a layout of another one."""
    monkeypatch.chdir(tmp_path)
    make_layout(tmp_path / "there")
    make_layout(tmp_path / "other", seed=1)
    for place in list(PLACES.values())[1:]:
        output_of(regkit("copy", PLACES["ocidir"], place, cwd=tmp_path))
    return tmp_path


def bound(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `regkit` as somebody whom modes bind: also where tests run as root."""
    rights = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--") if os.geteuid() == 0 else ()
    env = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    here = Path.cwd()
    return peer(*rights, "env", "-C", here, sys.executable, "-m", "regkit", *arguments, env=env)


@contextmanager
def moded(paths: list[Path], mode: int) -> Iterator[None]:
    """Give files and directories another mode for a while."""
    with ExitStack() as stack:
        for path in paths:
            stack.callback(path.chmod, stat.S_IMODE(path.stat().st_mode))
            path.chmod(mode)
        yield


def contents(root: Path) -> dict[str, bytes]:
    """Read every file below a directory, or a file."""
    files = [root] if root.is_file() else [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


UNREADABLE: dict[str, tuple[str, Callable[[Path], list[Path]]]] = {
    "a layout": ("ocidir", lambda work: [work / "there"]),
    "its index": ("ocidir", lambda work: [work / "there/index.json"]),
    "its content": ("ocidir", lambda work: [work / "there/blobs"]),
    "its blobs": ("ocidir", lambda work: list((work / "there/blobs/sha256").iterdir())),
    "an archive": ("oci-archive", lambda work: [work / "there.tar"]),
    "a docker-archive": ("docker-archive", lambda work: [work / "saved.tar"]),
}


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("verb", ["inspect", "verify", "copy"])
def test_what_may_not_be_read(work: Path, what: str, verb: str) -> None:
    """It's the user's to change: 2, a sentence, a hint; nothing is begun at the destination."""
    kind, paths = UNREADABLE[what]
    with moded(paths(work), 0):
        done = bound("-q", verb, PLACES[kind], *(["ocidir://new"] if verb == "copy" else []))

    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "can't be read: Permission denied\n  hint: check that you may read it" in done.stderr
    assert not (work / "new").exists()


def test_referrers_of_what_may_not_be_read(work: Path) -> None:
    """Content that can't be looked at is no content that refers to nothing."""
    with moded([work / "there/blobs/sha256"], 0):
        done = bound("referrers", PLACES["ocidir"])

    assert (done.returncode, done.stdout) == (2, "")
    assert "can't be read: Permission denied" in done.stderr


@pytest.mark.parametrize("place", ["ocidir://shut/new", "oci-archive:shut/new.tar", "docker-archive:shut/new.tar:app"])
@pytest.mark.parametrize("mode", [0, 0o555])
def test_where_nothing_may_be_written(work: Path, place: str, mode: int) -> None:
    """A directory that is closed, or only to be read: 2, a sentence, a hint; and it's empty afterwards."""
    (work / "shut").mkdir()
    with moded([work / "shut"], mode):
        done = bound("-q", "copy", "ocidir://other", place)

    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert f"can't be {'written' if mode else 'read'}: Permission denied\n  hint: check that " in done.stderr
    assert list((work / "shut").iterdir()) == []


@pytest.mark.parametrize("verb", ["copy", "manifest rm"])
def test_a_layout_that_may_only_be_read(work: Path, verb: str) -> None:
    """What can't be added or removed is said with 2, and the layout is what it was."""
    digest = output_of(regkit("resolve", PLACES["ocidir"], cwd=work)).strip()
    arguments = ["copy", "ocidir://other", "ocidir://there:new"] if verb == "copy" else ["manifest", "rm", digest]
    before = contents(work / "there")
    directories = [work / "there", *(path for path in (work / "there").rglob("*") if path.is_dir())]
    with moded(directories, 0o555):
        done = bound("-q", *arguments, *([] if verb == "copy" else ["--yes"]))

    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "can't be written: Permission denied\n  hint: check that " in done.stderr
    assert contents(work / "there") == before


@pytest.mark.parametrize("place", ["ocidir://{}", "oci-archive:{}", "docker-archive:{}:app"])
def test_a_name_that_is_too_long(work: Path, place: str) -> None:
    """No file can be called so: 2, as for every other bad name."""
    done = regkit("-q", "copy", "ocidir://other", place.format("x" * 300), cwd=work)

    assert (done.returncode, done.stdout) == (2, "")
    assert "File name too long" in done.stderr


@pytest.mark.parametrize("kind", PLACES)
def test_no_room(work: Path, kind: str) -> None:
    """A disk that fills up: 1, a sentence, a hint; what was there stays, and of the rest only whole blobs."""
    full = work / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", full], check=True)
    try:
        place = f"{PLACES[kind].partition(':')[0]}:{'//' if kind == 'ocidir' else ''}{full}/x"
        name = ":app" if kind == "docker-archive" else ""
        output_of(regkit("copy", "ocidir://other", f"{place}{name}:old", cwd=work))
        make_layout(work / "large", layer_size=300_000, seed=2)
        before = contents(full)

        done = regkit("-q", "copy", "ocidir://large", f"{place}{name}:new", cwd=work)

        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert "can't be written: No space left on device\n  hint: make room, or choose another place" in done.stderr
        after = contents(full)
        assert {path: after.get(path) for path in before} == before
        for path in after.keys() - before.keys():
            assert path == f"x/blobs/sha256/{hashlib.sha256(after[path]).hexdigest()}"
        output_of(regkit("verify", f"{place}{name}:old", cwd=work))
    finally:
        subprocess.run(["umount", full], check=True)


def test_many_that_write_into_one_layout(work: Path) -> None:
    """Six copies at once into one layout, each under a name of its own: it has all six."""
    names = [f"n{number}" for number in range(6)]
    for number in range(6):
        make_layout(work / f"from{number}", seed=10 + number)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                started("copy", f"ocidir://from{n}", f"ocidir://all:{names[n]}", home=work, stdout=PIPE, stderr=PIPE)
            )
            for n in range(6)
        ]
        assert [process.wait(60) for process in processes] == [0] * 6

    for number, name in enumerate(names):
        assert digest_of(f"ocidir://all:{name}", work) == digest_of(f"ocidir://from{number}", work)


def digest_of(place: str, work: Path) -> str:
    return output_of(regkit("resolve", place, cwd=work)).strip().partition("@")[2]


def test_a_layout_that_lost_content(work: Path) -> None:
    """Nothing keeps an image and its blobs together there: what was lost is copied once more when one asks for it."""
    for path in list((work / "there/blobs/sha256").iterdir()):
        data = path.read_bytes()
        path.unlink()
        assert regkit("verify", PLACES["ocidir"], cwd=work).returncode in (5, 7)
        output_of(regkit("copy", "--force-recursive", "oci-archive:there.tar", PLACES["ocidir"], cwd=work))
        output_of(regkit("verify", PLACES["ocidir"], cwd=work))
        assert path.read_bytes() == data
