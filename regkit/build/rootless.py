"""A buildkitd without root: what it needs of a machine, and how it is started (rootlesskit's and BuildKit's docs)."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from regkit.build.builder import tracing
from regkit.build.child import find_tool

SUBIDS = 65536
"""How many subordinate ids an image may use."""

_TRIAL_LIMIT = 10.0
_PROGRAMS = (
    ("buildctl", "asks BuildKit to build", "go install github.com/moby/buildkit/cmd/buildctl@v0.34.2"),
    ("buildkitd", "builds", "go install github.com/moby/buildkit/cmd/buildkitd@v0.34.2"),
    ("runc", "runs a Dockerfile's steps", "apt-get install runc"),
    ("rootlesskit", "makes a user the root of namespaces of its own", "apt-get install rootlesskit"),
    ("newuidmap", "gives a user subordinate user ids", "apt-get install uidmap"),
    ("newgidmap", "gives a user subordinate group ids", "apt-get install uidmap"),
)
_SWITCHES = (  # a file of the kernel's, what it must not say, the command
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=28633"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a rootless builder needs, whether it's here, and the command that brings it."""

    name: str
    ok: bool
    detail: str
    remedy: str


def lacking(env: Mapping[str, str]) -> Iterator[Need]:
    """Give what is missing here."""
    return (need for need in needs(env) if not need.ok)


def needs(env: Mapping[str, str], *, root: Path = Path("/")) -> Iterator[Need]:
    """Look at this machine, below `root`; nothing is changed."""
    for name, purpose, remedy in _PROGRAMS:
        path = find_tool(name, env) or (find_tool("buildkit-runc", env) if name == "runc" else None)
        yield Need(name, path is not None, path or f"isn't on PATH; it {purpose}", remedy)
    user, number = _user()
    for kind, option in (("subuid", "--add-subuids"), ("subgid", "--add-subgids")):
        count = _count(root / "etc" / kind, user, number)
        detail = f"{user} has {count} of the {SUBIDS} ids in /etc/{kind} that an image may use"
        yield Need(kind, count >= SUBIDS, detail, f"usermod {option} 100000-165535 {user}")
    for name, off, remedy in _SWITCHES:
        try:
            said = (root / name.lstrip("/")).read_text(encoding="ascii").strip()
        except OSError:
            continue  # a kernel that doesn't have the switch has no such limit
        what = name.rpartition("/")[2]
        yield Need("user namespaces", said != off, f"{what} is {said}", remedy)


def rootless_command(content: Path, address: str, config: Path, env: Mapping[str, str]) -> list[str]:
    """Give the daemon's command line.

    Where the machine lets it have a PID namespace of its own, nothing of it stays when it ends; a container without
    privileges doesn't, and there the steps of a build share one.
    """
    rootlesskit, buildkitd = find_tool("rootlesskit", env) or "rootlesskit", find_tool("buildkitd", env) or "buildkitd"
    parts = _succeeds([rootlesskit, "--net=host", "--pidns", "true"], env)
    return [
        *(rootlesskit, "--net=host", *(("--pidns",) if parts else ())),
        *(buildkitd, "--rootless", "--config", str(config), "--root", str(content), "--addr", address),
        *("--containerd-worker=false", "--oci-worker-net=host", *tracing(address)),
        *(() if parts else ("--oci-worker-no-process-sandbox",)),
    ]


def _user() -> tuple[str, int]:
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name, number
    except KeyError:
        return str(number), number


def _count(path: Path, user: str, number: int) -> int:
    """Add up a user's ranges (subuid(5)): `name-or-number:first:count`."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    entries = [parts for line in lines if len(parts := line.split(":")) == 3]
    return sum(int(count) for who, _, count in entries if who in (user, str(number)) and count.isdecimal())


def _succeeds(argv: list[str], env: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run(argv, env=dict(env), capture_output=True, timeout=_TRIAL_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
