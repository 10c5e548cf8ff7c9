from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.directory import MAX_INDEX, UPLOADS, DirectoryStore
from regkit.devregistry.garbage import find_garbage
from regkit.devregistry.server import running
from regkit.errors import UsageError
from regkit.oci.digest import Digest
from regkit.oci.layout import INDEX, MARKER, blob_path
from regkit.oci.manifest import assemble_index

from .support import ask, content, push_blob, push_image, put, run, write_layout


def test_restart_sees_everything(tmp_path: Path) -> None:
    """Another process's registry over the same directory serves the same tags, manifests and blobs."""
    with DevRegistry(DirectoryStore(tmp_path)) as registry:
        manifest = push_image(registry, "team/app", "1.2")
        put(registry, "team/app", "latest", manifest)
        untagged = push_image(registry, "team/app", None, "untagged")
        digest = push_blob(registry, "team/app", b"x", "sha512")

    with DevRegistry(DirectoryStore(tmp_path)) as registry:
        tags = ask(registry, "GET", "/v2/team/app/tags/list").json(1 << 20)["tags"]
        assert tags == ["1.2", "latest"]
        for name, expected in (("latest", manifest.raw), (untagged.digest, untagged.raw)):
            assert content(ask(registry, "GET", f"/v2/team/app/manifests/{name}")) == expected
        assert content(ask(registry, "GET", f"/v2/team/app/blobs/{digest}")) == b"x"


def test_uploads_are_lost_with_the_process(tmp_path: Path) -> None:
    """What was only on its way is gone after a restart, and so are its files; its blob was never there."""
    with DevRegistry(DirectoryStore(tmp_path)) as registry:
        location = ask(registry, "POST", "/v2/a/blobs/uploads/").headers["location"]
        ask(registry, "PATCH", location, b"half")
    (tmp_path / UPLOADS / "left-by-a-crash").write_bytes(b"half")

    with DevRegistry(DirectoryStore(tmp_path)) as registry:
        assert ask(registry, "GET", location).status == 404
        assert list((tmp_path / UPLOADS).iterdir()) == []
        assert registry.store.repositories() == ()


def test_nothing_is_left_in_the_uploads(tmp_path: Path) -> None:
    """Kept, refused, canceled: each upload's file is gone once it is answered."""
    with DevRegistry(DirectoryStore(tmp_path)) as registry:
        push_image(registry, "a", "1")
        ask(registry, "POST", f"/v2/a/blobs/uploads/?digest={Digest.of(b'x')}", b"y")
        ask(registry, "DELETE", ask(registry, "POST", "/v2/a/blobs/uploads/").headers["location"])
        ask(registry, "POST", f"/v2/b/blobs/uploads/?from=a&mount={Digest.of(b'nowhere')}&digest=sha256:1")

        assert list((tmp_path / UPLOADS).iterdir()) == []


def test_one_process_owns_a_directory(tmp_path: Path) -> None:
    """A second registry over the same directory is refused until the first one is closed."""
    first = DirectoryStore(tmp_path)

    with pytest.raises(UsageError, match="another registry serves"):
        DirectoryStore(tmp_path)
    first.close()
    DirectoryStore(tmp_path).close()


@pytest.mark.parametrize("below", ["file", "file/below", "registry"])
def test_place_that_can_hold_no_registry(tmp_path: Path, below: str) -> None:
    """A file, a place below one, and a directory whose uploads are a file: wrong usage that says where and why."""
    (tmp_path / "file").touch()
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / UPLOADS).touch()

    for _ in range(2):  # the second time, too: it isn't locked
        with pytest.raises(UsageError, match=f"no registry can be in {tmp_path / below}"):
            DirectoryStore(tmp_path / below)


def test_mounted_blob_is_one_file(tmp_path: Path) -> None:
    """A mount costs no second copy."""
    with DevRegistry(DirectoryStore(tmp_path)) as registry:
        digest = push_blob(registry, "a", b"x")
        ask(registry, "POST", f"/v2/b/c/blobs/uploads/?mount={digest}&from=a")

    assert (tmp_path / "a" / blob_path(digest)).samefile(tmp_path / "b" / "c" / blob_path(digest))


def test_layout_of_another_tool_is_served(tmp_path: Path) -> None:
    """A layout that was put there is a repository: its index by tag, and the children that only the index names."""
    index = write_layout(tmp_path / "team" / "app", ["linux/amd64", "linux/arm64"], "1.2")

    with DevRegistry(DirectoryStore(tmp_path)) as registry:
        assert content(ask(registry, "GET", "/v2/team/app/manifests/1.2")) == index.raw
        for child in index.manifests:
            assert ask(registry, "HEAD", f"/v2/team/app/manifests/{child.digest}").status == 200
        assert put(registry, "team/app", "2", index).status == 201
        assert registry.store.repositories() == ("team/app",)


def test_full_disk_leaves_no_torn_upload(tmp_path: Path) -> None:
    """A chunk that finds no room for all of it is a 507 and isn't there; the upload goes on from before it."""
    first, second = b"1" * 1000, b"2" * 1000
    digest = Digest.of(first + second)
    with DevRegistry(DirectoryStore(tmp_path)) as registry:
        location = ask(registry, "POST", "/v2/a/blobs/uploads/").headers["location"]
        ask(registry, "PATCH", location, first)
        with largest_file(1500):
            assert ask(registry, "PUT", f"{location}?digest={digest}", second).status == 507
            assert ask(registry, "PATCH", location, second).status == 507

        assert ask(registry, "GET", location).headers["range"] == "0-999"
        assert ask(registry, "PATCH", location, second).status == 202
        assert ask(registry, "PUT", f"{location}?digest={digest}").status == 201
        assert content(ask(registry, "GET", f"/v2/a/blobs/{digest}")) == first + second


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: a write that would is cut short, and the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_links_lead_nowhere(tmp_path: Path) -> None:
    """A blob or a repository that is a symbolic link isn't there: it would lead out of the directory."""
    root, secret = tmp_path / "registry", tmp_path / "secret"
    secret.write_bytes(b"secret")
    digest = Digest.of(b"secret")
    write_layout(root / "a", ["linux/amd64"], "1")
    (root / "a" / blob_path(digest)).symlink_to(secret)
    (root / "b").symlink_to(root / "a")
    (root / "loop").symlink_to(root)

    with DevRegistry(DirectoryStore(root)) as registry:
        assert ask(registry, "GET", f"/v2/a/blobs/{digest}").status == 404
        assert registry.store.repositories() == ("a",)


@pytest.mark.parametrize("link", ["repository", "above", "blobs", "blobs/sha256", INDEX, MARKER])
def test_nothing_is_read_written_or_removed_by_a_link(tmp_path: Path, link: str) -> None:
    """Where a link leads out of the directory, no repository is: for readers, writers, mounts and the collector."""
    root, outside = tmp_path / "registry", tmp_path / "outside"
    index = write_layout(outside / "app", ["linux/amd64"], "1")
    before = sorted((path, path.lstat().st_mtime_ns) for path in outside.rglob("*"))
    path = root / "team" / "app"
    target = outside / "app"
    if link == "above":
        path, target = root / "team", outside
    elif link != "repository":
        shutil.copytree(target, path)
        path, target = path / link, target / link
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)

    with DevRegistry(DirectoryStore(root)) as registry:
        name = "/v2/team/app"
        for url in (f"{name}/manifests/1", f"{name}/blobs/{index.digest}", f"{name}/tags/list"):
            assert ask(registry, "GET", url).status == 404
        for url in (f"{name}/manifests/1", f"{name}/manifests/{index.digest}", f"{name}/blobs/{index.digest}"):
            assert ask(registry, "DELETE", url).status == 404
        assert ask(registry, "POST", f"/v2/b/blobs/uploads/?mount={index.digest}&from=team/app").status == 202
        assert ask(registry, "POST", f"/v2/b/blobs/uploads/?mount={index.digest}").status == 202
        with pytest.raises(UsageError, match="a symbolic link in it would lead out of"):
            push_blob(registry, "team/app", b"x")
        assert registry.store.repositories() == ()
        assert isinstance(registry.store, DirectoryStore)
        assert [file for file in find_garbage(registry.store).files if file.digest] == []
    assert sorted((path, path.lstat().st_mtime_ns) for path in outside.rglob("*")) == before


def test_more_uploads_than_files_may_be_open(tmp_path: Path) -> None:
    """An upload that waits holds no file open, and goes on where it was."""
    with DevRegistry(DirectoryStore(tmp_path)) as registry, few_open_files() as limit:
        halves: dict[str, bytes] = {}
        for number in range(limit + 1):
            location = ask(registry, "POST", "/v2/a/blobs/uploads/").headers["location"]
            halves[location] = str(number).encode() * 10
            assert ask(registry, "PATCH", location, halves[location]).status == 202
        for location, half in halves.items():
            assert ask(registry, "PUT", f"{location}?digest={Digest.of(half * 2)}", half).status == 201


@contextmanager
def few_open_files() -> Iterator[int]:
    """Let this process have few more files open than it has; give how many."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(int(handle.name) for handle in Path("/proc/self/fd").iterdir()) + 16
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_index_stays_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tag for which the index has no room is a 507, and what was there before is found after a restart."""
    with DevRegistry(DirectoryStore(tmp_path)) as registry:
        manifest = push_image(registry, "a", "1")
        monkeypatch.setattr("regkit.devregistry.directory.MAX_INDEX", (tmp_path / "a" / INDEX).stat().st_size)
        assert put(registry, "a", "2", manifest).status == 507

    with DevRegistry(DirectoryStore(tmp_path)) as registry:
        assert ask(registry, "GET", "/v2/a/tags/list").json(1 << 10)["tags"] == ["1"]


def test_layout_that_is_broken_is_named(tmp_path: Path) -> None:
    """A layout whose index can't be read is an error that says where, not an empty repository."""
    write_layout(tmp_path / "a", ["linux/amd64"], "1")
    (tmp_path / "a" / INDEX).write_text("{")
    store = DirectoryStore(tmp_path)

    with pytest.raises(UsageError, match=str(tmp_path / "a")):
        store.names("a")
    store.close()


@pytest.mark.parametrize("name", [INDEX, MARKER])
def test_layout_that_a_stranger_brought(tmp_path: Path, name: str) -> None:
    """A pipe in a file's place is waited for by nobody, and what has no end is read to a limit."""
    write_layout(tmp_path / "a", ["linux/amd64"], "1")
    path = tmp_path / "a" / name
    path.unlink()
    os.mkfifo(path)
    store = DirectoryStore(tmp_path)
    with pytest.raises(UsageError, match="it isn't a file"):
        store.names("a")
    path.unlink()
    with path.open("wb") as file:
        file.truncate(MAX_INDEX + 1)
    with pytest.raises(UsageError, match="larger than one may be"):
        store.names("a")
    store.close()


def test_other_tools_read_the_directory(tmp_path: Path) -> None:
    """skopeo, regctl, oras and crane find tags and content in a repository's directory."""
    home, layout = tmp_path / "home", tmp_path / "registry" / "team" / "app"
    with DevRegistry(DirectoryStore(tmp_path / "registry")) as registry:
        child = push_image(registry, "team/app", None)
        index = assemble_index([child.descriptor], {})
        put(registry, "team/app", "1.2", index)

    with DevRegistry() as other, running(other) as server:
        run("crane", "push", "--index", str(layout), f"{server.host}/copy:1", home=home)
        run("crane", "validate", "--remote", f"{server.host}/copy:1", "--platform", "linux/amd64", home=home)
    assert run("skopeo", "inspect", "--raw", f"oci:{layout}:1.2", home=home).encode() == index.raw
    assert run("regctl", "manifest", "get", "--format", "raw-body", f"ocidir://{layout}:1.2", home=home).encode() == (
        index.raw
    )
    assert run("oras", "manifest", "fetch", "--oci-layout", f"{layout}:1.2", home=home).strip().encode() == index.raw


_KILLED = """
import os, sys
from pathlib import Path
from regkit.devregistry.app import DevRegistry
from regkit.devregistry.directory import DirectoryStore
from tests.devregistry.support import push_image
registry = DevRegistry(DirectoryStore(Path(sys.argv[1])))
for number in range(10_000):
    push_image(registry, "a", f"t{number}", str(number))
    os.write(1, f"t{number}\\n".encode())
"""


def test_kill_leaves_no_torn_write(tmp_path: Path) -> None:
    """After SIGKILL in the middle of pushes, each tag that was answered is there, and all content is whole."""
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    with child:
        assert child.stdout is not None
        answered = [child.stdout.readline().decode().strip() for _ in range(40)]
        child.kill()

    with DevRegistry(DirectoryStore(tmp_path)) as registry:
        names = registry.store.names("a")
        assert names is not None
        assert set(answered) <= set(names.tags)
        for digest in names.manifests:
            document = json.loads(content(ask(registry, "GET", f"/v2/a/manifests/{digest}")))
            for needed in (document["config"], *document["layers"]):
                assert Digest.of(content(ask(registry, "GET", f"/v2/a/blobs/{needed['digest']}"))) == needed["digest"]
