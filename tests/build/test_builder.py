"""The throw-away buildkitd, for real: its cache, its end, and what is left of it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from regkit.build.buildctl import build
from regkit.build.builder import configuration, throwaway_builder
from regkit.build.workers import worker_platforms
from regkit.build.workspace import lock_file
from regkit.config.spec import RegistryConfig
from regkit.errors import Unavailable, UsageError
from regkit.events import BuilderStarted, Event, Note, StepDone, StepStarted, ignore
from tests.build.conftest import MakeContext, spec_of
from tests.support.command import output_of, regkit
from tests.support.layouts import make_layout
from tests.support.registries import embedded
from tests.support.waiting import until

VICTIM = Path(__file__).with_name("victim.py")
SLEEP = 'FROM scratch\nCOPY busybox /busybox\nRUN ["/busybox", "sh", "-c", "echo asleep; exec /busybox sleep {mark}"]'


def running(mark: str) -> dict[int, str]:
    """Find the processes whose arguments contain `mark`."""
    found = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and int(directory.name) != os.getpid():
            try:
                text = (directory / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if mark in text:
                found[int(directory.name)] = text
    return found


def mounts(mark: str) -> list[str]:
    return [line for line in Path("/proc/mounts").read_text().splitlines() if mark in line]


@contextmanager
def watched(pids: Iterable[int]) -> Iterator[set[int]]:
    """Give a descriptor for each of these processes that still runs, readable at its end."""
    descriptors = set()
    for pid in pids:
        with suppress(ProcessLookupError):
            descriptors.add(os.pidfd_open(pid))
    yield descriptors
    for descriptor in descriptors:
        os.close(descriptor)


def names_of(processes: dict[int, str]) -> set[str]:
    """Give the last parts of all words of their commands."""
    return {Path(word).name for command in processes.values() for word in command.split("\0")}


def wait_for_all(descriptors: set[int], seconds: float) -> bool:
    """Tell whether all these processes end in time."""
    left, end = set(descriptors), time.monotonic() + seconds
    while left and (remaining := end - time.monotonic()) > 0:
        left -= set(select.select(left, (), (), remaining)[0])
    return not left


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_a_run_that_is_ended_during_a_step(
    number: signal.Signals, env: dict[str, str], context: MakeContext, tmp_path: Path
) -> None:
    """SIGKILL, Ctrl-C, SIGTERM while a RUN sleeps: within 5 s no process and no mount of ours; the cache is free."""
    mark = f"31536000.{os.getpid()}{int(number)}"
    made, cache = context(SLEEP.format(mark=mark), busybox=True), tmp_path / "cache"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.build.victim", str(made)],
        cwd=VICTIM.parents[2],
        env={**env, "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as victim:
        assert victim.stdout is not None
        assert any("line='asleep'" in line for line in victim.stdout), "the step didn't begin"
        expected = {"buildkitd", "buildctl", "unshare", "busybox"}  # one that is just being started has no name yet
        until(lambda: names_of(running(str(tmp_path)) | running(mark)) >= expected, "all of them run")
        with watched(running(str(tmp_path)) | running(mark)) as processes:
            victim.send_signal(number)
            in_time = wait_for_all(processes, 5)
        victim.kill()

    assert in_time
    assert running(str(tmp_path)) | running(mark) == {}
    assert mounts(str(tmp_path)) == []
    lock = lock_file(cache / "regkit" / "buildkitd.lock")
    assert lock is not None
    os.close(lock)


def test_later_run_finds_the_cache_and_removes_what_a_killed_one_left(
    env: dict[str, str], context: MakeContext, tmp_path: Path
) -> None:
    """The second build is cached; directories of dead runs are gone; nothing of ours stays but the cache."""
    made = context("FROM scratch\nCOPY Dockerfile /")
    stale = tmp_path / "cache" / "run" / "dead"
    stale.mkdir(parents=True)
    seen: list[list[Event]] = []
    for name in ("one", "two"):
        events: list[Event] = []
        seen.append(events)
        with throwaway_builder(tmp_path / "cache", events.append, env=env) as address:
            build(spec_of(made), address, tmp_path / name, events.append, env=env)
            assert not stale.exists()
        assert BuilderStarted(str(tmp_path / "cache" / "buildkitd"), shared=True) in events

    copies = [[e.cached for e in events if isinstance(e, StepDone) and "COPY" in e.name] for events in seen]
    assert copies == [[False], [True]]
    assert list((tmp_path / "cache" / "run").iterdir()) == []
    assert running(str(tmp_path)) == {}


def test_second_run_at_the_same_time_gets_a_temporary_root(
    env: dict[str, str], tmp_path: Path, events: list[Event]
) -> None:
    """It says so, works, and removes it."""
    with (
        throwaway_builder(tmp_path, ignore, env=env) as first,
        throwaway_builder(tmp_path, events.append, env=env) as second,
    ):
        assert first != second
        assert worker_platforms(second, env)[0].os == "linux"

    note, started = events
    assert isinstance(note, Note)
    assert isinstance(started, BuilderStarted)
    assert not started.shared
    assert not Path(started.root).exists()


def test_run_after_a_killed_one_waits_for_its_daemon(
    env: dict[str, str], context: MakeContext, tmp_path: Path, events: list[Event]
) -> None:
    """A daemon that is still dying keeps the lock; a new run gets the shared root nevertheless."""
    mark = f"31536001.{os.getpid()}"
    made = context(SLEEP.format(mark=mark), busybox=True)
    own = {**env, "XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.build.victim", str(made)],
        cwd=VICTIM.parents[2],
        env=own,
        stdout=subprocess.PIPE,
        text=True,
    ) as victim:
        assert victim.stdout is not None
        assert any("line='asleep'" in line for line in victim.stdout)
        victim.kill()
    with throwaway_builder(tmp_path / "regkit", events.append, env=env):
        assert events == [BuilderStarted(str(tmp_path / "regkit" / "buildkitd"), shared=True)]


def test_address_fits_a_socket_below_a_deep_cache_directory(env: dict[str, str], tmp_path: Path) -> None:
    """A socket's path has at most 108 bytes; the cache's may have more. It's in a directory of ours, and removed."""
    deep = tmp_path / ("d" * 120)
    with throwaway_builder(deep, ignore, env=env) as address:
        socket = Path(address.url.removeprefix("unix://"))
        assert len(str(socket)) < 108
        assert socket.parent.stat().st_mode & 0o777 == 0o700

    assert not socket.parent.exists()


@pytest.mark.parametrize("missing", ["buildkitd", "buildctl", "runc", "setpriv", "unshare"])
def test_missing_tool_is_a_usage_error(missing: str, env: dict[str, str], tmp_path: Path) -> None:
    """One sentence names it, the hint leads on."""
    for name in {"buildkitd", "buildctl", "runc", "setpriv", "unshare"} - {missing}:
        (tmp_path / name).symlink_to("/bin/true")

    with (
        pytest.raises(UsageError, match=f"^{missing} isn't on PATH") as caught,
        throwaway_builder(tmp_path / "cache", ignore, env={**env, "PATH": str(tmp_path)}),
    ):
        pass
    assert "regkit doctor" in str(caught.value.hint)
    assert not (tmp_path / "cache").exists()


def test_nobody_is_told_that_root_is_needed(env: dict[str, str], tmp_path: Path) -> None:
    """A sentence, not a stack of permission errors."""
    os.seteuid(65534)
    try:
        with pytest.raises(UsageError, match="needs root"), throwaway_builder(tmp_path / "cache", ignore, env=env):
            pass
    finally:
        os.seteuid(0)


def test_daemon_that_ends_at_its_start_is_told_with_its_last_words(env: dict[str, str], tmp_path: Path) -> None:
    """Its own reason, not ours."""
    (tmp_path / "buildkitd" / "buildkitd.lock").mkdir(parents=True)

    with (
        pytest.raises(Unavailable, match=r"buildkitd ended at its start: .*buildkitd\.lock: is a directory"),
        throwaway_builder(tmp_path, ignore, env=env),
    ):
        pass


def test_daemon_that_is_lost_during_a_build_is_unavailable(
    env: dict[str, str], context: MakeContext, tmp_path: Path
) -> None:
    """Trying again may help: it isn't the Dockerfile's fault."""
    made = context(SLEEP.format(mark=31536002), busybox=True)

    def kill(event: Event) -> None:
        if isinstance(event, StepStarted) and " RUN " in event.name:
            for pid, command in running(str(tmp_path / "cache")).items():
                if Path(command.split("\0")[0]).name == "buildkitd":
                    os.kill(pid, signal.SIGKILL)

    with (
        throwaway_builder(tmp_path / "cache", ignore, env=env) as address,
        pytest.raises(Unavailable, match="the builder"),
    ):
        build(spec_of(made), address, tmp_path / "layout", kill, env=env)


def test_registries_are_configured() -> None:
    """In buildkitd's own words; a strange host can't break out of its quotes."""
    hosts = ["a:5000", 'b"]']
    said = {
        "a:5000": RegistryConfig("a:5000", mirrors=("m:1", "n/x")),
        "docker.io": RegistryConfig("docker.io", ca_file=Path("/etc/c.pem")),
    }

    assert tomllib.loads(configuration(hosts, said))["registry"] == {
        "a:5000": {"http": True, "mirrors": ["m:1", "n/x"]},
        'b"]': {"http": True},
        "docker.io": {"ca": ["/etc/c.pem"]},
    }


def test_base_images_come_from_a_mirror(context: MakeContext, env: dict[str, str], tmp_path: Path) -> None:
    """The registry itself isn't there at all."""
    make_layout(tmp_path / "base", ["linux/amd64"])
    with embedded(tmp_path / "registry") as mirror:
        output_of(regkit("copy", f"ocidir://{tmp_path}/base", f"{mirror.host}/hub/base:1"))
        said = {"registry.invalid": RegistryConfig("registry.invalid", mirrors=(f"{mirror.host}/hub",))}
        spec = spec_of(context("FROM registry.invalid/base:1\n"))
        with throwaway_builder(tmp_path / "cache", ignore, env=env, registries=said) as address:
            build(spec, address, tmp_path / "layout", ignore, env=env)

        assert any("/v2/hub/base/blobs/" in asked.path for asked in mirror.requests())
