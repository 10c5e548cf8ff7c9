"""What doctor says, of machines that are described here and of this one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.build.address import Address
from regkit.build.binfmt import Handler, Handlers, elf_head, parse_handler, read_handlers
from regkit.build.doctor import Finding, Machine, diagnose, examine, findings, native_platform
from regkit.build.workers import parse_workers
from regkit.errors import Unavailable
from regkit.oci.platform import Platform, parse_platforms

PLATFORMS = parse_platforms(["linux/amd64,linux/386,linux/arm64/v8,linux/arm/v7,linux/arm/v6"])
AMD64, _, ARM64, ARM7, ARM6 = PLATFORMS
TOOLS = {name: f"/bin/{name}" for name in ("buildctl", "buildkitd", "runc", "setpriv", "unshare")}
QEMU = """{state}
interpreter /usr/libexec/qemu-binfmt/{name}-binfmt-P
flags: {flags}
offset 0
magic 7f454c460{size}010100000000000000000002{machine}
mask ffffffffffffff00fffffffffffffffffeffffff
"""


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


def test_this_machine_can_build_for_itself(env: dict[str, str]) -> None:
    """The tests of this directory do."""
    found = diagnose([native_platform()], env)

    assert all(finding.ok for finding in found), found


def test_running_builder_is_asked_for_its_platforms(builder: Address, env: dict[str, str]) -> None:
    """And one that isn't there is told by its address."""
    (_, served) = diagnose([native_platform()], {**env, "BUILDKIT_HOST": builder.url})
    assert served.ok, served

    (_, nobody) = diagnose([native_platform()], {**env, "BUILDKIT_HOST": "tcp://127.0.0.1:1"})
    assert not nobody.ok
    assert "can't reach the builder at tcp://127.0.0.1:1" in nobody.detail


def test_as_nobody_with_an_empty_path(tmp_path: Path) -> None:
    """Every tool and the rights are missing, binfmt isn't there, and nothing raises."""
    os.seteuid(65534)
    try:
        found = diagnose(PLATFORMS, {"PATH": str(tmp_path)}, binfmt=tmp_path)
    finally:
        os.seteuid(0)

    assert [finding.name for finding in found if not finding.ok][:6] == [*TOOLS, "rights"]
    assert "isn't root" in next(f.detail for f in found if f.name == "rights")
    assert next(f for f in found if f.name == "binfmt_misc").ok is False


def test_handlers_are_read_as_the_kernel_shows_them(tmp_path: Path, env: dict[str, str]) -> None:
    """By magic, whatever their names; handlers by extension and strange files are passed over."""
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "register").write_text("")
    (tmp_path / "jar").write_text("enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n")
    (tmp_path / "broken").write_text("enabled\nmagic zz\noffset x\n")
    text = QEMU.format(state="enabled", name="arm", flags="POCF", size=1, machine="002800")
    (tmp_path / "my-emulator").write_text(text)
    handlers = read_handlers(tmp_path, env)

    found = handlers.of("arm")
    assert found is not None
    assert (found.name, found.interpreter) == ("my-emulator", "/usr/libexec/qemu-binfmt/arm-binfmt-P")
    assert handlers.of("arm64") is None
    assert handlers.of("wasm") is None


def test_disabled_or_missing_binfmt_is_not_mounted(tmp_path: Path, env: dict[str, str]) -> None:
    """Either way the kernel starts no emulator."""
    assert not read_handlers(tmp_path, env).mounted
    (tmp_path / "status").write_text("disabled\n")
    assert not read_handlers(tmp_path, env).mounted


def test_program_head_is_that_of_a_real_program() -> None:
    """Compared with one of this machine's; the system's own ABI, byte 7, is masked out by handlers."""
    head = Path("/bin/busybox").read_bytes()[:20]

    assert head[:7] + b"\0" + head[8:] == elf_head(native_platform().architecture)


def test_examining_changes_nothing_and_finds_the_tools(env: dict[str, str]) -> None:
    """The tools are those on PATH."""
    assert set(examine(env).tools) >= set(TOOLS)


@pytest.mark.parametrize("data", [b"", b"[1]", b'[{"platforms": 1}]', b'[{"platforms": [1]}]', b"{}x"])
def test_answer_of_another_form_is_unavailable(data: bytes) -> None:
    """Not a traceback."""
    with pytest.raises(Unavailable, match="can't be read"):
        parse_workers(data)
