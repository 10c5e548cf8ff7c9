"""What is judged of machines that are described here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from regkit.build.binfmt import Handler, Handlers, parse_handler
from regkit.build.findings import Finding, findings
from regkit.build.machine import TOOLS as NAMES
from regkit.build.machine import Machine
from regkit.oci.platform import Platform, parse_platforms
from tests.build.test_binfmt import QEMU

PLATFORMS = parse_platforms(["linux/amd64,linux/386,linux/arm64/v8,linux/arm/v7,linux/arm/v6"])
AMD64, _, ARM64, ARM7, ARM6 = PLATFORMS
TOOLS = {name: f"/bin/{name}" for name in NAMES}


def handler(name: str, *, state: str = "enabled", flags: str = "PF") -> Handler:
    """Give what the kernel shows of Debian's handler for arm or aarch64."""
    size, machine = {"arm": (1, "002800"), "aarch64": (2, "00b700")}[name]
    text = QEMU.format(state=state, name=name, flags=flags, size=size, machine=machine)
    return parse_handler(Path(f"/proc/sys/fs/binfmt_misc/qemu-{name}"), text)


HANDLERS = Handlers(mounted=True, handlers=(handler("arm"), handler("aarch64")))
MACHINE = Machine(TOOLS, Platform("linux", "amd64"), runs_32_bit=True, rights="", handlers=HANDLERS)


def missing(machine: Machine) -> list[tuple[str, tuple[Platform, ...], str]]:
    """Give name, platforms and remedy of all that isn't ok."""
    return [(f.name, f.platforms, f.remedy) for f in findings(machine, PLATFORMS) if not f.ok]


def test_machine_that_has_all_holds_back_nothing() -> None:
    """All is listed, in the order in which it's needed; one handler serves all arm variants."""
    found = findings(MACHINE, PLATFORMS)

    assert [finding.name for finding in found if finding.ok] == [
        *("buildctl", "buildkitd", "runc", "setpriv", "unshare", "rights", "binfmt_misc"),
        *("emulator for arm64", "emulator for arm"),
    ]
    assert missing(MACHINE) == []


def test_native_platforms_need_no_emulator() -> None:
    """386 on amd64 neither; without platforms the native one is asked for."""
    machine = replace(MACHINE, handlers=Handlers())

    for platforms in (parse_platforms(["linux/amd64,linux/386"]), ()):
        assert {f.name for f in findings(machine, platforms)} == {*TOOLS, "rights"}


@pytest.mark.parametrize("tool", TOOLS)
def test_missing_tool_holds_back_every_platform(tool: str) -> None:
    """And there is a command that brings it."""
    ((name, platforms, remedy),) = missing(
        replace(MACHINE, tools={name: path for name, path in TOOLS.items() if name != tool})
    )

    assert (name, platforms) == (tool, PLATFORMS)
    assert remedy.startswith(("apt-get install ", "go install github.com/moby/buildkit/cmd/"))


def test_missing_rights_hold_back_every_platform() -> None:
    """The remedy names both ways out."""
    ((name, platforms, remedy),) = missing(replace(MACHINE, rights="user 1000 isn't root"))

    assert (name, platforms) == ("rights", PLATFORMS)
    assert "sudo" in remedy
    assert "BUILDKIT_HOST" in remedy


def test_binfmt_that_is_not_mounted_holds_back_foreign_platforms() -> None:
    """The native ones don't need it."""
    assert missing(replace(MACHINE, handlers=Handlers())) == [
        ("binfmt_misc", (ARM64, ARM7, ARM6), "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc"),
        ("emulator for arm64", (ARM64,), "apt-get install qemu-user-static binfmt-support"),
        ("emulator for arm", (ARM7, ARM6), "apt-get install qemu-user-static binfmt-support"),
    ]


def test_handler_that_is_disabled_or_not_fixed_does_not_count() -> None:
    """Without the flag F the emulator would have to be in the image; a handler that works is preferred."""
    off, loose = handler("arm", state="disabled"), handler("arm", flags="P")
    path = "/proc/sys/fs/binfmt_misc/qemu-arm"
    arm = ("emulator for arm", (ARM7, ARM6))

    def of(*handlers: Handler) -> list[tuple[str, tuple[Platform, ...], str]]:
        return missing(replace(MACHINE, handlers=Handlers(mounted=True, handlers=(*handlers, handler("aarch64")))))

    assert of(off) == [(*arm, f"echo 1 > {path}")]
    reinstall = "apt-get install --reinstall qemu-user-static binfmt-support"
    assert of(loose) == [(*arm, f"echo -1 > {path} && {reinstall}")]
    assert of(off, loose, handler("arm")) == []


def test_emulator_that_buildkit_brings_counts_without_the_kernel() -> None:
    """buildkit-qemu-… on PATH."""
    handlers = Handlers(bundled={"arm": "/bin/buildkit-qemu-arm", "arm64": "/bin/buildkit-qemu-aarch64"})

    assert missing(replace(MACHINE, handlers=handlers)) == []


def test_arm_machine_runs_arm_where_its_kernel_does() -> None:
    """arm64 runs 32-bit arm on some processors; an armv6 board doesn't run v7."""
    arm64 = replace(MACHINE, native=Platform("linux", "arm64"), handlers=Handlers(mounted=True))
    pi_zero = replace(arm64, native=Platform("linux", "arm", "v6"))

    def held(machine: Machine) -> list[Platform]:
        return [p for f in findings(machine, [ARM64, ARM7, ARM6]) if not f.ok for p in f.platforms]

    assert held(arm64) == []
    assert held(replace(arm64, runs_32_bit=False)) == [ARM7, ARM6]
    assert held(pi_zero) == [ARM64, ARM7]


def test_with_a_builder_only_what_it_needs_counts() -> None:
    """No buildkitd, no runc, no rights of ours: buildctl, and what the builder serves."""
    bare = Machine({"buildctl": "/bin/buildctl"}, AMD64, runs_32_bit=True, rights="no", handlers=Handlers())
    served = replace(bare, address="tcp://b:1", served=(AMD64, Platform("linux", "arm64"), ARM7))

    assert findings(served, [AMD64, ARM64, ARM7]) == (
        Finding("buildctl", ok=True, detail="/bin/buildctl"),
        Finding("BUILDKIT_HOST", ok=True, detail="tcp://b:1 serves linux/amd64, linux/arm64, linux/arm/v7"),
    )
    assert all(finding.ok for finding in findings(served, [ARM6]))
    (_, lacking) = findings(replace(served, served=(AMD64, ARM6)), [AMD64, ARM6, ARM7])
    assert (lacking.ok, lacking.platforms) == (False, (ARM7,))
    assert "restart it" in lacking.remedy
    (_, silent) = findings(replace(served, unreachable="refused"), [AMD64])
    assert (silent.ok, silent.platforms, silent.detail) == (False, (AMD64,), "refused")
    (tool,) = findings(replace(served, tools={}), [AMD64])
    assert (tool.name, tool.ok) == ("buildctl", False)
