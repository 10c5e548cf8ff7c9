"""What this machine has of what a build needs: tools, rights, emulators, and a builder that answers."""

from __future__ import annotations

import os
import platform as machine_platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regkit.build.address import Address
from regkit.build.binfmt import Handlers, read_handlers
from regkit.build.child import find_tool
from regkit.build.rootless import Need, needs
from regkit.build.workers import worker_platforms
from regkit.errors import RegkitError
from regkit.oci.platform import Platform

TOOLS = ("buildctl", "buildkitd", "runc", "setpriv", "unshare")
"""What a build and a builder of our own run, in the order in which they need it."""

_TRIAL_LIMIT = 10.0
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "i686": "386",
    "loongarch64": "loong64",
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine has."""

    tools: Mapping[str, str]
    native: Platform
    runs_32_bit: bool
    rights: str
    """"" where a builder of our own may run, else why it may not."""
    handlers: Handlers
    address: str = ""
    served: tuple[Platform, ...] = ()
    unreachable: str = ""
    """Why the builder at `address` doesn't answer."""
    stays: bool = False
    """Whether that one is the builder that `regkit builder up` started."""
    rootless: tuple[Need, ...] = ()
    """What a builder without root needs, where we aren't root."""


def examine(env: Mapping[str, str], *, binfmt: Path = Path("/proc/sys/fs/binfmt_misc")) -> Machine:
    """Look at this machine; nothing is changed."""
    names = ("buildkit-runc", *TOOLS)
    tools = {name: path for name in names if (path := find_tool(name, env))}
    if "buildkit-runc" in tools:
        tools["runc"] = tools["buildkit-runc"]
    native = native_platform()
    address, unreachable = env.get("BUILDKIT_HOST", ""), ""
    served: tuple[Platform, ...] = ()
    if address and "buildctl" in tools:
        try:
            served = worker_platforms(Address(address), env)
        except RegkitError as error:
            unreachable = error.message
    return Machine(
        tools,
        native,
        native.architecture == "amd64" or _succeeds(env, "setarch", "linux32", "true"),
        _rights(env),
        read_handlers(binfmt, env),
        address,
        served,
        unreachable,
        rootless=tuple(needs(env)) if os.geteuid() else (),
    )


def native_platform() -> Platform:
    """Tell what this machine runs without help."""
    name = machine_platform.machine()
    return Platform("linux", _ARCHITECTURES.get(name, name), "v6" if name == "armv6l" else "")


def _rights(env: Mapping[str, str]) -> str:
    if os.geteuid() != 0:
        return f"user {os.geteuid()} isn't root, and a builder of our own needs it"
    if find_tool("unshare", env) and not _succeeds(
        env, "unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"
    ):
        return "root here may not make namespaces and mounts (a container without privileges?)"
    return ""


def _succeeds(env: Mapping[str, str], *argv: str) -> bool:
    try:
        done = subprocess.run(argv, env=dict(env), capture_output=True, timeout=_TRIAL_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
