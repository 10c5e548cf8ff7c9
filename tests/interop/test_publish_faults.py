"""What goes wrong around a publish: its disk, its builder, its registry, and others who clean up at the same time.

Tokens that expire during uploads are in test_access.py, a registry that is busy, or a connection that breaks, in
test_faults.py.
"""

from __future__ import annotations

import base64
import json
import random
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest
import trustme

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.auth import TokenGuard
from regkit.devregistry.front import Front
from regkit.devregistry.server import running
from regkit.devregistry.tokens import Tokens
from regkit.devregistry.users import Users
from tests.support.builders import running_builder
from tests.support.command import output_of, peer, regkit, started
from tests.support.layouts import make_layout
from tests.support.proxy import proxy
from tests.support.registries import RunningRegistry
from tests.support.waiting import until

PLATFORMS = ("linux/amd64", "linux/arm64/v8")
TAGS = ["1", "1.2", "1.2.3", "latest"]
COMMIT = "8f3c2b1a9d7e6f5c4b3a29181716151413121110"
ON_THE_WAY = [f"8f3c2b1-{platform.replace('/', '-')}" for platform in PLATFORMS]
LARGE = 64 << 20

distribution_only = pytest.mark.parametrize("registry", ["distribution"], indirect=True)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Give a build context whose image has a layer of 64 MiB that nothing makes smaller."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "data").write_bytes(random.randbytes(LARGE))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY data /\n")
    return context


@pytest.mark.parametrize("room", [8 << 20, 0], ids=["for a part", "for nothing"])
@distribution_only
def test_the_disk_is_full(registry: RunningRegistry, large: Path, builder: str, home: Path, room: int) -> None:
    """What was built doesn't fit where it is put: 1, nothing is sent, and no part of it stays; with room it goes up."""
    command = ("publish", large, "--image", f"{registry.host}/app", "--version", "v1.2.3", "--platform", PLATFORMS[0])
    with small_disk(home / "small", room) as cache:
        done = regkit(*command, env={"BUILDKIT_HOST": builder, "XDG_CACHE_HOME": str(cache)}, home=home)

        assert list(cache.glob("regkit/run/*")) == []
    assert done.returncode == 1
    assert re.search(rf"^regkit: error: {cache}/\S+ can't be written: No space left on device$", done.stderr, re.M)
    assert "  hint: make room, or choose another place\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert registry.writes() == []

    output_of(regkit(*command, env={"BUILDKIT_HOST": builder}, home=home))
    check_whole(registry)


@distribution_only
def test_the_builder_dies_while_it_hands_over(
    registry: RunningRegistry, large: Path, home: Path, builder: str, tmp_path: Path
) -> None:
    """SIGKILL to a far buildkitd while the layers come out of it: 75, nothing is sent; another one does it all."""
    command = ("publish", large, "--image", f"{registry.host}/app", "--version", "v1.2.3", "--platform", PLATFORMS[0])
    with running_builder(tmp_path / "far", authority=trustme.CA()) as far:
        at = f"*={far.address.url},tls-dir={far.address.tls_dir}"
        with started(*command, "--builder", at, home=home) as process:
            until(lambda: list(home.glob(".cache/regkit/run/**/ingest/*/data")), "a layer comes", 60)
            far.kill()
            said = ending(process)
    assert process.returncode == 75
    assert re.search(r"^regkit: error: the builder at tcp://\S+ was lost during the build: ", said, re.M)
    assert registry.writes() == []

    output_of(regkit(*command, env={"BUILDKIT_HOST": builder}, home=home))
    check_whole(registry)


@distribution_only
def test_the_registry_goes_before_the_first_tag(registry: RunningRegistry, home: Path) -> None:
    """It ends when all content is there: 75 and no tag. Once it's back, the same command sends no blob again."""
    make_layout(home / "layout", PLATFORMS)
    with proxy(registry.host) as between:
        first_tag = between.hold("PUT", "/manifests/1$")
        with started(*publish(home, between.host), home=home) as process:
            until(first_tag.held.is_set, "the first tag's PUT is under way")
            registry.stop()
            first_tag.release()
            said = ending(process)
    assert process.returncode == 75
    assert f"regkit: error: the connection to {between.host} broke: " in said
    registry.start()
    assert registry.tags("app") == []
    mark = registry.mark()

    output_of(regkit(*publish(home, registry.host), home=home))

    check_whole(registry)
    assert [logged for logged in registry.writes(mark) if logged.method == "PUT" and "/blobs/" in logged.path] == []


@pytest.mark.parametrize("registry", ["distribution", "embedded"], indirect=True)
def test_others_remove_the_tags_on_the_way(registry: RunningRegistry, home: Path) -> None:
    """`tag rm` of the platforms' tags before the index is there: they aren't missed, and the release is whole."""
    make_layout(home / "layout", PLATFORMS)
    with proxy(registry.host) as between:
        index = between.hold("PUT", "/manifests/sha256:")
        command = publish(home, between.host, "--intermediate", "tag", "--commit", COMMIT)
        with started(*command, home=home) as process:
            until(index.held.is_set, "the index is under way")
            assert registry.tags("app") == ON_THE_WAY
            output_of(regkit("tag", "rm", *(f"{registry.host}/app:{tag}" for tag in ON_THE_WAY), "--yes", home=home))
            index.release()
            said = ending(process)
    assert process.returncode == 0, said
    check_whole(registry)


@pytest.mark.parametrize("name", ["sha256:", "1$"], ids=["the index", "the first tag"])
@pytest.mark.parametrize("registry", ["distribution", "embedded"], indirect=True)
def test_others_delete_an_image_on_the_way(registry: RunningRegistry, home: Path, name: str) -> None:
    """Somebody cleans up what has no tag yet: 7 with the image's digest, no tag; the same command again completes it.

    It is deleted right before the index comes, whose children are asked for beside it, or right before the first tag.
    """
    children = [child.digest for child in make_layout(home / "layout", PLATFORMS).manifests]
    with proxy(registry.host) as between:
        passing = len(children) if name == "sha256:" else 0
        held = between.hold("PUT", f"/manifests/{name}", passing=passing)
        looks = between.hold("HEAD", "/manifests/sha256:", times=len(children))
        with started(*publish(home, between.host), home=home) as process:
            if not passing:
                looks.release()
            until(held.held.is_set, "it is under way")
            output_of(peer("crane", "delete", f"{registry.host}/app@{children[0]}"))
            held.release()
            until(lambda: held.seen[0].status, "it is answered")
            looks.release()
            said = ending(process)
    assert held.seen[0].status in (400, 404)
    assert process.returncode == 7
    assert re.search(rf"^regkit: error: {between.host}/app took everything, but .*{children[0]}", said, re.M)
    assert children[1] not in said
    assert registry.tags("app") == []

    output_of(regkit(*publish(home, registry.host), home=home))
    check_whole(registry)


@pytest.mark.parametrize("withdrawn", [False, True], ids=["only the token", "the login too"])
def test_the_token_expires_before_the_first_tag(home: Path, *, withdrawn: bool) -> None:
    """All content is there, and the token isn't taken any more: the login gets another one, and the tags follow.

    Where the login isn't taken any more either: 4, and no tag; with a login the same command sends no blob again.
    """
    make_layout(home / "layout", PLATFORMS)
    hashes = {name: bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode() for name in ("ci", "another")}
    users = Users(hashes)
    late: list[float] = []
    tokens = Tokens("regkit", lifetime=5, clock=lambda: time.time() + sum(late))
    front = Front(DevRegistry(), guarding=lambda handle: TokenGuard(handle, users, tokens))
    with running(front) as registry, proxy(registry.host) as between:
        log_in(home, between.host)
        first_tag = between.hold("PUT", "/manifests/1$")
        with started(*publish(home, between.host), home=home) as process:
            until(first_tag.held.is_set, "the first tag's PUT is under way")
            late.append(tokens.lifetime + 1)
            taken = {"ci": hashes.pop("ci")} if withdrawn else {}
            first_tag.release()
            said = ending(process)
        assert first_tag.seen[0].status == 401
        if withdrawn:
            assert process.returncode == 4, said
            assert re.search(rf"^regkit: error: {between.host}/app doesn't let the user 'ci' from \S+ in: ", said, re.M)
            hashes.update(taken)
            assert "has no tags" in regkit("tag", "ls", f"{between.host}/app", home=home).stderr
            sent = len(between.requests("PUT", "/blobs/"))
            output_of(regkit(*publish(home, between.host), home=home))
            assert len(between.requests("PUT", "/blobs/")) == sent
        else:
            assert process.returncode == 0, said
        assert output_of(regkit("tag", "ls", f"{between.host}/app", home=home)).split() == TAGS
        output_of(regkit("verify", "--blobs", f"{between.host}/app:1.2.3", home=home))


def log_in(home: Path, host: str) -> None:
    """Write a login as `docker login` does."""
    (home / ".docker").mkdir()
    login = {"auth": base64.b64encode(b"ci:secret").decode()}
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {host: login}}))


def publish(home: Path, host: str, *options: str) -> tuple[str | Path, ...]:
    """Give the arguments that publish the layout in a home."""
    return ("publish", "--from", home / "layout", "--image", f"{host}/app", "--version", "v1.2.3", *options)


def ending(process: subprocess.Popen[bytes]) -> str:
    """Wait for its end; give what it said on stderr, which is no traceback."""
    said = process.communicate(timeout=60)[1].decode()
    assert "Traceback" not in said
    return said


def check_whole(registry: RunningRegistry) -> None:
    """Let a peer read every blob and compare its digest."""
    assert registry.tags("app") == TAGS
    output_of(peer("crane", "validate", "--remote", f"{registry.host}/app:1.2.3", "--platform", "linux/amd64"))


@contextmanager
def small_disk(path: Path, room: int) -> Iterator[Path]:
    """Mount a disk there that has so many bytes of room."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], check=True)
    try:
        (path / "filler").write_bytes(bytes((8 << 20) - room))
        yield path
    finally:
        subprocess.run(["umount", path], check=True)
