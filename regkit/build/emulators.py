"""Emulators for foreign platforms: registered with the kernel where that is missing, and withdrawn afterwards.

The kernel's handlers are for the whole machine (binfmt_misc). So what is there is left as it is, even where it is of no
use, and only what was registered here is ever withdrawn.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regkit.build.binfmt import QEMU_NAMES, elf_head, read_handlers
from regkit.build.child import find_tool
from regkit.errors import RegkitError, UsageError
from regkit.events import Note, Reporter, ignore
from regkit.oci.platform import Platform

if TYPE_CHECKING:
    from regkit.build.findings import Finding

BINFMT = Path("/proc/sys/fs/binfmt_misc")

_PREFIX = "regkit-"
_FLAGS = "F"  # the interpreter is opened now, so that it works in any root


@dataclass(frozen=True, slots=True)
class Changes:
    """What was changed on the machine: the handlers' names, and whether binfmt_misc was mounted for them."""

    handlers: tuple[str, ...] = ()
    mounted: bool = False


def provide(platforms: Sequence[Platform], env: Mapping[str, str], report: Reporter, *, root: Path = BINFMT) -> Changes:
    """See to it that the kernel runs programs for all platforms; raise UsageError where it can't be made to.

    A handler is registered where there is none and an emulator is on PATH.
    """
    if not platforms:
        return Changes()
    mounted, handlers = False, list[str]()
    try:
        lacking = _lacking(platforms, env, root)
        if lacking and lacking[0].name == "binfmt_misc":
            _mount(root, lacking[0].remedy)
            mounted = True
            report(Note(f"mounted binfmt_misc at {root}"))
            lacking = _lacking(platforms, env, root)
        for finding in lacking:
            architecture = finding.platforms[0].architecture
            if read_handlers(root, env).of(architecture) is not None:  # somebody else's, and of no use
                raise UsageError(f"the {finding.name}: {finding.detail}", hint=f"as root: {finding.remedy}")
            handlers.append(_register(architecture, env, root, finding.remedy))
            report(Note(f"registered {handlers[-1]} with the kernel, for {', '.join(map(str, finding.platforms))}"))
    except RegkitError:
        withdraw(Changes(tuple(handlers), mounted), ignore, root=root)
        raise
    return Changes(tuple(handlers), mounted)


def withdraw(changes: Changes, report: Reporter, *, root: Path = BINFMT) -> None:
    """Take back what `provide` changed, as far as it's still there."""
    for name in changes.handlers:
        path = root / name
        if name.startswith(_PREFIX) and path.is_file():
            path.write_text("-1", encoding="ascii")
            report(Note(f"withdrew {name} from the kernel"))
    if changes.mounted and subprocess.run(["umount", root], capture_output=True, check=False).returncode == 0:
        report(Note(f"unmounted {root}"))


def registration(architecture: str, interpreter: str) -> bytes:
    """Give the line that registers an emulator (Documentation/admin-guide/binfmt-misc.rst). Pure.

    It takes programs of any system's ABI, byte 7, and both fixed and position-independent ones, e_type 2 and 3.
    """
    magic = elf_head(architecture)
    little = magic[5] == 1
    mask = b"\xff" * 7 + b"\0" + b"\xff" * 8 + (b"\xfe\xff" if little else b"\xff\xfe") + b"\xff\xff"
    return b":".join(
        (
            b"",
            os.fsencode(name_of(architecture)),
            b"M",
            b"0",
            _escaped(magic),
            _escaped(mask),
            os.fsencode(interpreter),
            _FLAGS.encode(),
        )
    )


def name_of(architecture: str) -> str:
    """Name our handler for an architecture."""
    return f"{_PREFIX}{architecture}"


def _register(architecture: str, env: Mapping[str, str], root: Path, remedy: str) -> str:
    qemu = QEMU_NAMES.get(architecture, architecture)
    found = next((path for name in (f"qemu-{qemu}-static", f"qemu-{qemu}") if (path := find_tool(name, env))), None)
    if found is None:
        raise UsageError(f"no emulator for {architecture} is on PATH", hint=remedy)
    try:
        (root / "register").write_bytes(registration(architecture, str(Path(found).resolve())))
    except OSError as error:
        text = f"the emulator for {architecture} can't be registered: {error.strerror}"
        raise UsageError(text, hint=f"as root: {remedy}") from None
    return name_of(architecture)


def _lacking(platforms: Sequence[Platform], env: Mapping[str, str], root: Path) -> list[Finding]:
    from regkit.build.findings import emulation
    from regkit.build.machine import examine

    machine = examine({**env, "BUILDKIT_HOST": ""}, binfmt=root)
    return [finding for finding in emulation(machine, platforms) if not finding.ok]


def _mount(root: Path, remedy: str) -> None:
    done = subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", root], capture_output=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"binfmt_misc isn't mounted at {root}, and can't be", hint=f"as root: {remedy}")


def _escaped(data: bytes) -> bytes:
    return "".join(f"\\x{byte:02x}" for byte in data).encode()
