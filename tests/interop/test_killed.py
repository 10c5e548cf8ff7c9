"""A publish that is stopped: nothing is half done where others see it, nothing of ours is left, a rerun finishes."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import output_of, regkit, started
from tests.support.layouts import make_layout
from tests.support.proxy import Proxy, proxy
from tests.support.registries import RunningRegistry
from tests.support.waiting import until

PLATFORMS = "linux/amd64,linux/arm64/v8"  # the busybox is this machine's own in both: two platforms, no emulator
INTERRUPTED = "regkit: interrupted\n"

distribution_only = pytest.mark.parametrize("registry", ["distribution"], indirect=True)


@distribution_only
def test_kill_before_the_first_tag_moves_none_and_a_rerun_finishes(
    registry: RunningRegistry, home: Path, tmp_path: Path
) -> None:
    """SIGKILL while the first tag's PUT is under way: no tag is there; the same command again ends with these images.

    The step leaves the time in its image: a build that doesn't find the killed one's cache has other digests.
    """
    context = context_of(tmp_path / "context", "busybox date +%s%N > /when")
    with proxy(registry.host) as between:
        first_tag = between.hold("PUT", "/manifests/1$")
        command = ("publish", context, "--image", f"{between.host}/app", "--version", "v1.2.3", "--platform", PLATFORMS)
        with started(*command, home=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            until(first_tag.held.is_set, "the first tag's PUT is under way", 60)
            process.kill()
            process.wait()
        pushed = pushed_manifests(between)
        first_tag.release(drop=True)
        assert registry.tags("app") == []
        assert len(pushed) == 3

        name = output_of(regkit(*command, home=home))

        assert name.strip().partition("@")[2] in pushed
        assert pushed_manifests(between) == pushed, "the rerun made other images"
        assert registry.tags("app") == ["1", "1.2", "1.2.3", "latest"]
    assert list((home / ".cache/regkit/run").iterdir()) == [], "the killed run's directories are still there"


@pytest.mark.parametrize("address", ["our own", "BUILDKIT_HOST"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@distribution_only
def test_stopped_during_a_step_nothing_is_left(
    request: pytest.FixtureRequest, registry: RunningRegistry, home: Path, number: signal.Signals, address: str
) -> None:
    """SIGKILL, Ctrl-C or SIGTERM while a `RUN` sleeps: within 5 s no process and no mount of ours is left.

    The latter two give 130 and one line; nothing was pushed.
    """
    env = {} if address == "our own" else {"BUILDKIT_HOST": request.getfixturevalue("builder")}
    seconds = str(random.randrange(10**6, 10**7))
    context = context_of(home / "context", f"exec busybox sleep {seconds}")
    said = home / "stderr"
    with (
        said.open("wb") as stderr,
        started(
            *("publish", context, "--image", f"{registry.host}/app", "--version", "1.2.3", "--platform", "linux/amd64"),
            home=home,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        ) as process,
    ):
        until(lambda: processes_with(seconds), "the step runs", 60)
        assert len(processes_with(str(home))) > 1
        assert list(mounts_below(home)) or env

        os.killpg(process.pid, number)

        until(lambda: not left(home, seconds), "no process and no mount is left", 5)
        status = process.wait(1)
    if number == signal.SIGKILL:
        assert status == -number
    else:
        assert status == 130
        assert said.read_text().endswith(INTERRUPTED)
        assert "Traceback" not in said.read_text()
    if number != signal.SIGKILL or env:  # our own builder's socket goes with the next run
        until(lambda: not list((home / ".cache/regkit/run").iterdir()), "nothing that it wrote is left", 5)
    assert registry.writes() == []


def test_ctrl_c_while_it_loads(tmp_path: Path) -> None:
    """Ctrl-C in the first tenth of a second, while Python still imports: 130 and one line, too."""
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))

    done = regkit("tag", "ls", "127.0.0.1:1/app", env={"PYTHONPATH": path})

    assert (done.returncode, done.stdout, done.stderr) == (130, "", INTERRUPTED)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_wait_for_a_silent_registry(home: Path, number: signal.Signals) -> None:
    """A registry that accepts and never answers: Ctrl-C gives 130 within a second."""
    make_layout(home / "layout")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        image = f"127.0.0.1:{silent.getsockname()[1]}/app"
        with started(
            "publish", "--from", home / "layout", "--image", image, "--version", "1.2.3", home=home
        ) as process:
            silent.settimeout(30)
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(1024).split()[1].startswith(b"/v2/app/")

                assert seconds_until_130(process, number) < 1


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/blobs/"), ("POST", "/uploads/"), ("PUT", "/uploads/")])
@distribution_only
def test_ctrl_c_ends_many_waits_at_once(registry: RunningRegistry, home: Path, method: str, path: str) -> None:
    """Two dozen threads that wait for their answers: Ctrl-C gives 130 within a second, and no tag moved."""
    make_layout(home / "layout", layers=30)
    make_layout(home / "another", seed=1)
    image = f"{registry.host}/app"
    output_of(regkit("publish", "--from", home / "another", "--image", image, "--tag", "another", home=home))
    with proxy(registry.host) as between:
        waiting = between.hold(method, path, times=1000)
        command = ("publish", "--from", home / "layout", "--image", f"{between.host}/app", "--version", "1.2.3")
        with started(*command, home=home) as process:
            until(lambda: len(waiting.seen) >= 20, "many requests wait")

            assert seconds_until_130(process, signal.SIGINT) < 1
    assert registry.tags("app") == ["another"]


@distribution_only
def test_ctrl_c_ends_the_wait_before_another_try(registry: RunningRegistry, home: Path) -> None:
    """A registry that asks to come again in 50 s: Ctrl-C gives 130 within a second."""
    make_layout(home / "layout")
    with proxy(registry.host) as between:
        busy = between.answer("GET", "/tags/list", 503, {"Retry-After": "50"})
        said = home / "stderr"
        with (
            said.open("wb") as stderr,
            started(
                *("publish", "--from", home / "layout", "--image", f"{between.host}/app", "--version", "1.2.3"),
                home=home,
                stderr=stderr,
            ) as process,
        ):
            until(lambda: busy.seen and "again in 50" in said.read_text(), "it waits")

            assert seconds_until_130(process, signal.SIGINT) < 1
    assert said.read_text().endswith(INTERRUPTED)


def context_of(directory: Path, run: str) -> Path:
    """Make a build context whose only step is `run`, a line for a shell."""
    directory.mkdir()
    shutil.copy("/bin/busybox", directory)
    (directory / "Dockerfile").write_text(
        f'FROM scratch\nCOPY busybox /bin/\nRUN ["/bin/busybox", "sh", "-c", "{run}"]\n'
    )
    return directory


def pushed_manifests(between: Proxy) -> set[str]:
    """Give the digests of the manifests that went to the registry by digest, and were taken."""
    put = [exchange for exchange in between.requests("PUT", "/manifests/sha256:") if exchange.status == 201]
    return {exchange.path.rpartition("/")[2] for exchange in put}


def seconds_until_130(process: subprocess.Popen[bytes], number: signal.Signals) -> float:
    """Send a signal; give the time until the process ended, with 130."""
    begin = time.monotonic()
    process.send_signal(number)
    assert process.wait(10) == 130
    return time.monotonic() - begin


def processes_with(mark: str) -> list[str]:
    """Give the arguments of every process, but this one, that has `mark` in its arguments or its environment."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal() and int(directory.name) != os.getpid():
            arguments = read(directory / "cmdline")
            if mark.encode() in arguments + b"\0" + read(directory / "environ"):
                found.append(arguments.replace(b"\0", b" ").decode(errors="replace"))
    return found


def mounts_below(path: Path) -> Iterator[str]:
    """Give the lines of all mount namespaces' tables that name something below `path`."""
    seen = set()
    for directory in Path("/proc").iterdir():
        if not directory.name.isdecimal():
            continue
        try:
            namespace = (directory / "ns/mnt").readlink()
        except OSError:
            continue  # it ended meanwhile
        if namespace not in seen:
            seen.add(namespace)
            lines = read(directory / "mountinfo").decode(errors="replace").splitlines()
            yield from (line for line in lines if re.search(rf"{re.escape(str(path))}\b", line))


def left(home: Path, seconds: str) -> list[str]:
    """Give what is left of a run with this home, whose step sleeps for `seconds`."""
    return [*processes_with(str(home)), *processes_with(seconds), *mounts_below(home)]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it ended meanwhile
