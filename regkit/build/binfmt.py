"""The kernel's handlers for foreign programs (binfmt_misc), and the emulators that BuildKit brings along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from regkit.build.child import find_tool

QEMU_NAMES = {"386": "i386", "amd64": "x86_64", "arm64": "aarch64", "loong64": "loongarch64"}
_ELF: dict[str, tuple[int, Literal["little", "big"], int]] = {  # class, byte order, e_machine (elf.h)
    "386": (1, "little", 3),
    "amd64": (2, "little", 62),
    "arm": (1, "little", 40),
    "arm64": (2, "little", 183),
    "loong64": (2, "little", 258),
    "mips": (1, "big", 8),
    "mips64": (2, "big", 8),
    "mips64le": (2, "little", 8),
    "mipsle": (1, "little", 8),
    "ppc64": (2, "big", 21),
    "ppc64le": (2, "little", 21),
    "riscv64": (2, "little", 243),
    "s390x": (2, "big", 22),
}


@dataclass(frozen=True, slots=True)
class Handler:
    """One file of binfmt_misc."""

    path: Path
    enabled: bool = False
    interpreter: str = ""
    fixed: bool = False
    """Flag F: the interpreter was opened at registration, so that it works in any root."""
    offset: int = 0
    magic: bytes = b""
    mask: bytes = b""

    @property
    def name(self) -> str:
        """The name that it was registered under."""
        return self.path.name

    def takes(self, head: bytes) -> bool:
        """Tell whether a program that begins so is given to this handler."""
        part = head[self.offset : self.offset + len(self.magic)]
        mask = self.mask or b"\xff" * len(self.magic)
        return bool(self.magic) and len(part) == len(self.magic) and _masked(part, mask) == _masked(self.magic, mask)


@dataclass(frozen=True, slots=True)
class Handlers:
    """All that starts foreign programs."""

    mounted: bool = False
    handlers: tuple[Handler, ...] = ()
    bundled: Mapping[str, str] = field(default_factory=dict)
    """Architecture → `buildkit-qemu-…` on PATH, which BuildKit uses without the kernel."""

    def of(self, architecture: str) -> Handler | None:
        """Find the handler for an architecture's programs, one that works first."""
        if architecture not in _ELF:
            return None
        head = elf_head(architecture)
        taking = [handler for handler in self.handlers if handler.takes(head)]
        return max(taking, key=lambda handler: (handler.enabled, handler.fixed), default=None)


def read_handlers(root: Path, env: Mapping[str, str]) -> Handlers:
    """Look at binfmt_misc, mounted at `root`, and at PATH."""
    bundled = {a: path for a in _ELF if (path := find_tool(f"buildkit-qemu-{QEMU_NAMES.get(a, a)}", env))}
    try:
        on = (root / "status").read_text(encoding="ascii").strip() == "enabled"
    except OSError:
        return Handlers(bundled=bundled)
    return Handlers(mounted=on, handlers=tuple(_read_all(root)), bundled=bundled)


def parse_handler(path: Path, text: str) -> Handler:
    """Read a handler's file, as the kernel writes it (Documentation/admin-guide/binfmt-misc.rst)."""
    first, *lines = text.splitlines() or [""]
    values = dict(line.replace(":", "", 1).split(" ", 1) for line in lines if " " in line)
    return Handler(
        path,
        first == "enabled",
        values.get("interpreter", ""),
        "F" in values.get("flags", ""),
        int(values.get("offset", "0")),
        bytes.fromhex(values.get("magic", "")),
        bytes.fromhex(values.get("mask", "")),
    )


def elf_head(architecture: str) -> bytes:
    """Give the first 20 bytes of a static program for an architecture."""
    kind, order, machine = _ELF[architecture]
    ident = b"\x7fELF" + bytes([kind, 1 if order == "little" else 2, 1]) + bytes(9)
    return ident + (2).to_bytes(2, order) + machine.to_bytes(2, order)


def _read_all(root: Path) -> Iterator[Handler]:
    for path in sorted(root.iterdir()):
        if path.name in ("register", "status"):
            continue
        try:
            yield parse_handler(path, path.read_text(encoding="ascii", errors="replace"))
        except (OSError, ValueError):
            continue  # gone meanwhile, or of a form that no kernel writes


def _masked(data: bytes, mask: bytes) -> bytes:
    return bytes(byte & keep for byte, keep in zip(data, mask, strict=False))
