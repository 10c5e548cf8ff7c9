"""What a build needs, judged purely by what was seen of a machine, with the command that brings what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regkit.build.machine import TOOLS, Machine
from regkit.build.workers import serves
from regkit.oci.platform import Platform

if TYPE_CHECKING:
    from regkit.build.binfmt import Handlers
    from regkit.build.rootless import Need

_BUILDKIT = "go install github.com/moby/buildkit/cmd/{name}@v0.34.2"
_TOOLS = {
    "buildctl": ("asks BuildKit to build", _BUILDKIT.format(name="buildctl")),
    "buildkitd": ("builds", _BUILDKIT.format(name="buildkitd")),
    "runc": ("runs a Dockerfile's steps", "apt-get install runc"),
    "setpriv": ("ends the builder with us", "apt-get install util-linux"),
    "unshare": ("keeps the builder's mounts apart", "apt-get install util-linux"),
}
"""What each tool is for, and the command that brings it."""

_RIGHTS = (
    "run it as root (sudo), or set BUILDKIT_HOST to a running BuildKit, "
    "or start one without root: regkit builder up --rootless"
)
_COMPATIBLE = {"amd64": "386", "arm64": "arm"}


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


def findings(machine: Machine, platforms: Sequence[Platform]) -> tuple[Finding, ...]:
    """Judge; pure. What is ok is listed as well, in the order in which it is needed."""
    wanted = tuple(platforms) or (machine.native,)
    if machine.address:
        return (_tool(machine, "buildctl", wanted), *_remote(machine, wanted))
    tools = (_tool(machine, name, wanted) for name in TOOLS)
    rights = Finding(
        "rights",
        not machine.rights,
        machine.rights or "may make namespaces and mounts",
        wanted if machine.rights else (),
        _RIGHTS if machine.rights else "",
    )
    rootless = (_without_root(need, wanted) for need in machine.rootless if machine.rights and need.name not in TOOLS)
    return (*tools, rights, *rootless, *emulation(machine, wanted))


def _tool(machine: Machine, name: str, wanted: tuple[Platform, ...]) -> Finding:
    purpose, remedy = _TOOLS[name]
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
        remedy = "name one that runs, or unset BUILDKIT_HOST: regkit then starts its own"
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
