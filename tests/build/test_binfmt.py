"""The kernel's handlers for foreign programs, read as it shows them."""

from __future__ import annotations

from pathlib import Path

from regkit.build.binfmt import elf_head, read_handlers
from regkit.build.machine import native_platform

QEMU = """{state}
interpreter /usr/libexec/qemu-binfmt/{name}-binfmt-P
flags: {flags}
offset 0
magic 7f454c460{size}010100000000000000000002{machine}
mask ffffffffffffff00fffffffffffffffffeffffff
"""


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
