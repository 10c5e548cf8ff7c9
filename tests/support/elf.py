"""As much of ELF as tells what machine a program is for."""

from __future__ import annotations

import struct
from collections.abc import Iterator

X86_64, AARCH64, ARM = 62, 183, 40
"""e_machine, as the ABI numbers it."""

ARM_V6, ARM_V7 = 6, 10
"""Tag_CPU_arch ("Addenda to, and Errata in, the ABI for the Arm Architecture", 3.3.5.2); lower is older."""

_ATTRIBUTES = b".ARM.attributes"
_CPU_ARCH = 6
_STRINGS = frozenset({4, 5, 65, 67})
"""Tags whose value is text; all others that a compiler writes for a whole file are numbers."""


def machine(program: bytes) -> int:
    """Give e_machine; an AssertionError for what is no ELF executable."""
    assert program[:4] == b"\x7fELF", f"not an ELF file: {program[:16]!r}"
    kind, found = struct.unpack_from("<HH", program, 16)
    assert kind in (2, 3), f"not an executable, but of the type {kind}"
    return int(found)


def arm_cpu_arch(program: bytes) -> int:
    """Give Tag_CPU_arch of a 32-bit program, from its section .ARM.attributes."""
    content = _section(program, _ATTRIBUTES)
    assert content[:1] == b"A", "the section has another format"
    vendor_end = 1 + struct.unpack_from("<I", content, 1)[0]
    name_end = content.index(b"\0", 5) + 1
    assert content[5:name_end] == b"aeabi\0"
    position = name_end
    while position < vendor_end:
        tag, body = content[position], position + 5
        end = position + struct.unpack_from("<I", content, position + 1)[0]
        if tag == 1:  # Tag_File
            return dict(_attributes(content[body:end]))[_CPU_ARCH]
        position = end
    raise AssertionError("no attributes for the whole file")


def _attributes(data: bytes) -> Iterator[tuple[int, int]]:
    position = 0
    while position < len(data):
        tag, position = _uleb128(data, position)
        if tag in _STRINGS:
            position = data.index(b"\0", position) + 1
            continue
        value, position = _uleb128(data, position)
        yield tag, value


def _uleb128(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _section(program: bytes, name: bytes) -> bytes:
    assert program[4] == 1, "not a 32-bit program"
    table = struct.unpack_from("<I", program, 32)[0]
    size, count, names = struct.unpack_from("<HHH", program, 46)
    headers = [struct.unpack_from("<10I", program, table + number * size) for number in range(count)]
    strings = headers[names][4]
    for header in headers:
        start = strings + header[0]
        if program[start : program.index(b"\0", start)] == name:
            return program[header[4] : header[4] + header[5]]
    raise AssertionError(f"the program has no section {name.decode()}")
