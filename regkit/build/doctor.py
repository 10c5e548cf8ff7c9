"""What a build needs, what of it is here, and the command that brings the rest.

`examine` looks at the machine, `findings` judges purely what it saw.
"""

from __future__ import annotations

import os
import platform as machine_platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from regkit.build.address import Address
from regkit.build.binfmt import Handlers, read_handlers
from regkit.build.child import find_tool
from regkit.build.rootless import Need, needs
from regkit.build.workers import serves, worker_platforms
from regkit.errors import RegkitError
from regkit.oci.platform import Platform

_TRIAL_LIMIT = 10.0
_BUILDKIT = "go install github.com/moby/buildkit/cmd/{name}@v0.34.2"
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "i686": "386",
    "loongarch64": "loong64",
}
_RIGHTS = (
    "run it as root (sudo), or set BUILDKIT_HOST to a running BuildKit, "
    "or start one without root: regkit builder up --rootless"
)
_COMPATIBLE = {"amd64": "386", "arm64": "arm"}
_TOOLS = (
    ("buildctl", "asks BuildKit to build", _BUILDKIT.format(name="buildctl")),
    ("buildkitd", "builds", _BUILDKIT.format(name="buildkitd")),
    ("runc", "runs a Dockerfile's steps", "apt-get install runc"),
    ("setpriv", "ends the builder with us", "apt-get install util-linux"),
    ("unshare", "keeps the builder's mounts apart", "apt-get install util-linux"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a build needs."""

    name: str
    ok: bool
    detail: str
    platforms: tuple[Platform, ...] = ()
    """Those that it holds back; none where it's ok."""
    remedy: str = ""
    """The command that brings it, where it's missing."""


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


def diagnose(
    platforms: Sequence[Platform], env: Mapping[str, str], *, binfmt: Path = Path("/proc/sys/fs/binfmt_misc")
) -> tuple[Finding, ...]:
    """Tell all that a build for these platforms needs; with BUILDKIT_HOST set, or a builder up, that is less."""
    from regkit.build.standing import standing_builder

    stays = None if env.get("BUILDKIT_HOST") else standing_builder(env)
    if stays is None:
        return findings(examine(env, binfmt=binfmt), platforms)
    machine = examine({**env, "BUILDKIT_HOST": stays.url}, binfmt=binfmt)
    return findings(replace(machine, stays=True), platforms)


def examine(env: Mapping[str, str], *, binfmt: Path = Path("/proc/sys/fs/binfmt_misc")) -> Machine:
    """Look at this machine; nothing is changed."""
    names = ("buildkit-runc", *(name for name, _, _ in _TOOLS))
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


def findings(machine: Machine, platforms: Sequence[Platform]) -> tuple[Finding, ...]:
    """Judge; pure. What is ok is listed as well, in the order in which it is needed."""
    wanted = tuple(platforms) or (machine.native,)
    if machine.address:
        return (_tool(machine, _TOOLS[0], wanted), *_remote(machine, wanted))
    tools = (_tool(machine, tool, wanted) for tool in _TOOLS)
    rights = Finding(
        "rights",
        not machine.rights,
        machine.rights or "may make namespaces and mounts",
        wanted if machine.rights else (),
        _RIGHTS if machine.rights else "",
    )
    known = {name for name, _, _ in _TOOLS}
    rootless = (_without_root(need, wanted) for need in machine.rootless if machine.rights and need.name not in known)
    return (*tools, rights, *rootless, *emulation(machine, wanted))


def native_platform() -> Platform:
    """Tell what this machine runs without help."""
    name = machine_platform.machine()
    return Platform("linux", _ARCHITECTURES.get(name, name), "v6" if name == "armv6l" else "")


def _tool(machine: Machine, tool: tuple[str, str, str], wanted: tuple[Platform, ...]) -> Finding:
    name, purpose, remedy = tool
    path = machine.tools.get(name)
    if path:
        return Finding(name, ok=True, detail=path)
    return Finding(name, ok=False, detail=f"isn't on PATH; it {purpose}", platforms=wanted, remedy=remedy)


def _without_root(need: Need, wanted: tuple[Platform, ...]) -> Finding:
    if need.ok:
        return Finding(need.name, ok=True, detail=need.detail)
    detail = f"{need.detail}; a builder without root needs it"
    return Finding(need.name, ok=False, detail=detail, platforms=wanted, remedy=need.remedy)


def _remote(machine: Machine, wanted: tuple[Platform, ...]) -> tuple[Finding, ...]:
    if "buildctl" not in machine.tools:
        return ()
    name = "builder" if machine.stays else "BUILDKIT_HOST"
    if machine.unreachable:
        remedy = "start buildkitd there, or unset BUILDKIT_HOST: regkit then starts its own"
        if machine.stays:
            remedy = "regkit builder down"
        return (Finding(name, ok=False, detail=machine.unreachable, platforms=wanted, remedy=remedy),)
    missing = tuple(platform for platform in wanted if not serves(machine.served, platform))
    names = ", ".join(str(platform) for platform in (missing or machine.served))
    if missing:
        remedy = "apt-get install qemu-user-static binfmt-support, where buildkitd runs; then restart it"
        return (Finding(name, ok=False, detail=f"doesn't serve {names}", platforms=missing, remedy=remedy),)
    return (Finding(name, ok=True, detail=f"{machine.address} serves {names}"),)


def emulation(machine: Machine, wanted: Sequence[Platform]) -> tuple[Finding, ...]:
    """Judge what runs programs of foreign platforms; pure."""
    foreign = [platform for platform in wanted if not _runs_natively(machine, platform)]
    if not foreign:
        return ()
    found = []
    handlers = machine.handlers
    unserved = tuple(p for p in foreign if p.architecture not in handlers.bundled)
    if unserved:
        remedy = "" if handlers.mounted else "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc"
        detail = "is mounted" if handlers.mounted else "isn't mounted: the kernel can't start emulators"
        found.append(Finding("binfmt_misc", handlers.mounted, detail, () if handlers.mounted else unserved, remedy))
    for architecture in dict.fromkeys(platform.architecture for platform in foreign):
        held = tuple(platform for platform in foreign if platform.architecture == architecture)
        found.append(_handler(handlers, architecture, held))
    return tuple(found)


def _handler(handlers: Handlers, architecture: str, held: tuple[Platform, ...]) -> Finding:
    name = f"emulator for {architecture}"
    if architecture in handlers.bundled:
        return Finding(name, ok=True, detail=handlers.bundled[architecture])
    handler = handlers.of(architecture)
    if handler is None:
        remedy = "apt-get install qemu-user-static binfmt-support"
        return Finding(name, ok=False, detail="no binfmt_misc handler for it", platforms=held, remedy=remedy)
    if not handler.enabled:
        remedy = f"echo 1 > {handler.path}"
        return Finding(name, ok=False, detail=f"{handler.name} is disabled", platforms=held, remedy=remedy)
    if not handler.fixed:
        detail = f"{handler.name} lacks the flag F: it doesn't work inside a container"
        remedy = f"echo -1 > {handler.path} && apt-get install --reinstall qemu-user-static binfmt-support"
        return Finding(name, ok=False, detail=detail, platforms=held, remedy=remedy)
    return Finding(name, ok=True, detail=f"{handler.name}, {handler.interpreter}")


def _runs_natively(machine: Machine, platform: Platform) -> bool:
    native = machine.native.architecture
    compatible = platform.architecture == _COMPATIBLE.get(native) and machine.runs_32_bit
    older = not (machine.native.variant == "v6" and platform.normalized.variant in ("v7", "v8"))
    return compatible or (platform.architecture == native and older)


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
