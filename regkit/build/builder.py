"""A throw-away buildkitd for those who have none: it serves one run, keeps its cache, and can't outlive us.

It runs in mount and PID namespaces of its own, whose first process gets SIGKILL when its parent dies; so the
kernel ends the daemon, its containers and its mounts, whatever happens to us.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from regkit.build.address import Address
from regkit.build.child import child, find_tool
from regkit.build.environment import daemon_environment, trusting
from regkit.build.progress import clean
from regkit.build.workspace import Scratch, lock_file, private_directory, scratch
from regkit.errors import Unavailable, UsageError
from regkit.events import BuilderStarted, Note, Reporter

if TYPE_CHECKING:
    from regkit.config.spec import RegistryConfig

TOOLS = ("buildkitd", "buildctl", "runc", "setpriv", "unshare")
"""What has to be on PATH."""

_SOCKET = "s"
SOCKET_LIMIT = 100
"""Where a socket may lie: sun_path holds 108 bytes, unix(7), and `-otel` comes on top."""

_ROOT_WAIT = 2.0
_START_LIMIT = 30.0
_GRACE = 2.0
_POLL = 0.01
_LOG_TAIL = 64 * 1024
_REASON = "buildkitd: "
_CNI = Path("/etc/buildkit/cni.json")


@contextmanager
def throwaway_builder(
    cache_root: Path,
    report: Reporter,
    *,
    env: Mapping[str, str],
    plain_http: Sequence[str] = (),
    ca_file: Path | None = None,
    registries: Mapping[str, RegistryConfig] | None = None,
) -> Iterator[Address]:
    """Run a buildkitd while the block runs, and give its address. Base images come from where `registries` says.

    Its root is `cache_root/buildkitd`, so that a later run finds its cache, or a temporary one while another
    run uses that. Call it from the main thread: the daemon dies with the thread that starts it. Raise UsageError
    where a tool or the rights are missing, Unavailable where the daemon doesn't come up.
    """
    check_tools(env)
    with ExitStack() as stack:
        mine = stack.enter_context(scratch(cache_root / "run"))
        root, lock = _root(cache_root, mine, stack, report)
        socket = stack.enter_context(scratch(_socket_base(cache_root))).path / _SOCKET
        address = f"unix://{socket}"
        config = mine.path / "buildkitd.toml"
        config.write_text(configuration(plain_http, registries or {}), encoding="utf-8")
        log = stack.enter_context((mine.path / "buildkitd.log").open("wb"))
        daemon = stack.enter_context(
            child(
                command(root, address, config, env),
                trusting(daemon_environment(env), ca_file, mine.path),
                output=log,
                grace=_GRACE,
                keep_open=(lock, mine.lock),
            )
        )
        _wait(daemon, socket, Path(log.name), env)
        report(BuilderStarted(str(root), root.parent == cache_root))
        yield Address(address)


def check_tools(env: Mapping[str, str]) -> None:
    """Raise UsageError where a builder of our own can't be: a tool that is missing, or no rights."""
    hint = "regkit doctor says how to get it; or set BUILDKIT_HOST to a running BuildKit"
    for name in TOOLS:
        if find_tool(name, env) is None and not (name == "runc" and find_tool("buildkit-runc", env)):
            raise UsageError(f"{name} isn't on PATH, and a builder of our own needs it", hint=hint)
    if os.geteuid() != 0:
        raise UsageError(
            "a builder of our own needs root",
            hint="run as root, or set BUILDKIT_HOST to a running BuildKit, "
            "or start one without root: regkit builder up --rootless",
        )


def command(root: Path, address: str, config: Path, env: Mapping[str, str]) -> list[str]:
    """Give the daemon's command line, namespaces included. Pure, but for looking up tools on PATH."""
    unshare, buildkitd = find_tool("unshare", env), find_tool("buildkitd", env)
    network = () if _CNI.exists() else ("--oci-worker-net=host",)
    return [
        *(unshare or "unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"),
        *(buildkitd or "buildkitd", "--config", str(config), "--root", str(root), "--addr", address),
        *("--containerd-worker=false", *network, *tracing(address)),
    ]


def tracing(address: str) -> tuple[str, ...]:
    """Put the socket for traces beside the daemon's own: by default it would lie in /run, for all daemons there are."""
    path = address.removeprefix("unix://")
    return () if path == address else ("--otel-socket-path", f"{path}-otel")


def configuration(plain_http: Sequence[str], registries: Mapping[str, RegistryConfig]) -> str:
    """Give the daemon's buildkitd.toml: registries that are asked in plain http, their mirrors and authorities."""
    lines = []
    for host in dict.fromkeys((*plain_http, *registries)):
        said = registries.get(host)
        lines.append(f"[registry.{json.dumps(host)}]")
        if host in plain_http:
            lines.append("  http = true")
        if said is not None and said.mirrors:
            lines.append(f"  mirrors = {json.dumps(said.mirrors)}")
        if said is not None and said.ca_file is not None:
            lines.append(f"  ca = {json.dumps([str(said.ca_file)])}")
    return "".join(f"{line}\n" for line in lines)


def _root(cache_root: Path, mine: Scratch, stack: ExitStack, report: Reporter) -> tuple[Path, int]:
    """Choose the daemon's root; the descriptor that the daemon inherits keeps others out until it is really gone."""
    lock = lock_file(cache_root / "buildkitd.lock", wait=_ROOT_WAIT)
    if lock is None:
        report(Note("another run uses the builder's cache: this build starts with an empty one"))
        return private_directory(mine.path / "buildkitd"), mine.lock
    stack.callback(os.close, lock)
    return private_directory(cache_root / "buildkitd"), lock


def _socket_base(cache_root: Path) -> Path:
    base = cache_root / "run"
    short = len(os.fsencode(base)) + len("/12345678/") + len(_SOCKET) <= SOCKET_LIMIT
    return base if short else Path("/tmp", f"regkit-{os.geteuid()}")  # noqa: S108 - checked to be ours, mode 0700


def _wait(daemon: subprocess.Popen[bytes], socket: Path, log: Path, env: Mapping[str, str]) -> None:
    """Return when the daemon answers; its socket is there a little before."""
    end = time.monotonic() + _START_LIMIT
    while not socket.exists():
        if daemon.poll() is not None:
            raise Unavailable(f"buildkitd ended at its start: {last_words(log)}", hint="regkit doctor")
        if time.monotonic() > end:
            raise Unavailable(f"buildkitd isn't ready after {_START_LIMIT:.0f} s: {last_words(log)}")
        time.sleep(_POLL)
    argv = [find_tool("buildctl", env) or "buildctl", "--addr", f"unix://{socket}", "debug", "workers"]
    asked = [*argv[:1], "--timeout", f"{_START_LIMIT:.0f}", *argv[1:]]
    with child(asked, daemon_environment(env), output=subprocess.DEVNULL, grace=0) as question:
        while (status := question.poll()) is None and daemon.poll() is None and time.monotonic() < end:
            time.sleep(_POLL)
    if status != 0:
        raise Unavailable(f"buildkitd doesn't answer: {last_words(log)}", hint="regkit doctor")


def last_words(log: Path) -> str:
    """Give the daemon's own reason: what follows `buildkitd: `, without the stack; else its last lines."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL))
        lines = [text for line in file.read().splitlines() if (text := clean(line))]
    reason = next((line for line in reversed(lines) if line.startswith(_REASON)), None)
    return reason.removeprefix(_REASON) if reason else " · ".join(lines[-3:]) or "it said nothing"
