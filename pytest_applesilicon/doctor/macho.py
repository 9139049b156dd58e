"""The architectures of a Mach-O file, read from its first bytes.

A reader of our own, because macholib 1.16 parses every load command: it refuses a file for one
command it does not know, which each new SDK brings, and raises ``struct.error`` for a truncated
one. Only the headers are needed here: at most a few hundred bytes of each file, so that a whole
environment is read in a fraction of a second. ``tools/read_wheels.py`` holds this reader
against macholib on released wheels.

The layout is that of <mach-o/loader.h>, <mach-o/fat.h> and <mach/machine.h> of Apple's cctools
and XNU sources.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: CPU types with the 64-bit flag 0x01000000 of <mach/machine.h>.
_ARCHITECTURES = {
    0x00000007: "i386",
    0x01000007: "x86_64",
    0x0000000C: "arm",
    0x0100000C: "arm64",
    0x0200000C: "arm64_32",
    0x00000012: "ppc",
    0x01000012: "ppc64",
}
_SUBTYPE_MASK = 0x00FFFFFF  # the upper byte holds capability flags
_ARM64E = 2

_THIN = {
    b"\xfe\xed\xfa\xce": (">", 28),
    b"\xce\xfa\xed\xfe": ("<", 28),
    b"\xfe\xed\xfa\xcf": (">", 32),
    b"\xcf\xfa\xed\xfe": ("<", 32),
}
#: A fat header is always big-endian; the second number is the size of one entry.
_FAT = {b"\xca\xfe\xba\xbe": (">iiIII", 20), b"\xca\xfe\xba\xbf": (">iiQQII", 32)}

#: More slices than Apple ever shipped in one file; a Java class file, which begins like a fat
#: header, has its version number (45 or more) in this place.
_MOST_SLICES = 30
_HEAD = 8 + _MOST_SLICES * 32

#: Mach-O files that are loaded into a process or started: executable, dylib, bundle.
_LOADED = {2, 6, 8}


class MachOError(ValueError):
    """A file is no whole Mach-O file; the text says what is wrong with it."""


@dataclass(frozen=True)
class Slice:
    """The code for one architecture in a file."""

    architecture: str
    offset: int
    """Bytes from the beginning of the file."""
    size: int
    """Bytes."""


def architectures(path: Path) -> tuple[str, ...]:
    """The architectures a Mach-O file holds code for, in the order of the file.

    Raises:
        MachOError: the file cannot be read, is truncated, malformed or no Mach-O file.
    """
    try:
        with path.open("rb") as file:
            length = file.seek(0, 2)
            file.seek(0)
            head = file.read(_HEAD)
            found = slices(head, length)
            for one in found:
                file.seek(one.offset)
                _check_slice(file.read(32), one)
    except (OSError, ValueError, OverflowError) as error:
        if isinstance(error, MachOError):
            raise
        raise MachOError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return tuple(one.architecture for one in found)


def slices(head: bytes, length: int) -> tuple[Slice, ...]:
    """The slices named by the first bytes of a file of ``length`` bytes.

    Raises:
        MachOError: the bytes are no Mach-O header, or name code beyond the end of the file.
    """
    magic = head[:4]
    if magic in _THIN:
        order, size = _THIN[magic]
        if len(head) < size:
            raise MachOError(f"truncated: {len(head)} bytes, the header alone has {size}")
        cpu, subtype = struct.unpack_from(f"{order}iI", head, 4)
        return (Slice(_name(cpu, subtype), 0, length),)
    if magic in _FAT:
        return _fat_slices(head, length, *_FAT[magic])
    if not length:
        raise MachOError("the file is empty")
    raise MachOError(f"no Mach-O file: it begins with {magic.hex(' ')}")


def _fat_slices(head: bytes, length: int, entry: str, size: int) -> tuple[Slice, ...]:
    count = int.from_bytes(head[4:8], "big") if len(head) >= 8 else 0
    if not 0 < count <= _MOST_SLICES:
        raise MachOError(f"no Mach-O file: its universal header counts {count} architectures")
    if len(head) < 8 + count * size:
        raise MachOError(f"truncated within the header of {count} architectures")
    found = []
    for index in range(count):
        cpu, subtype, offset, extent, *_ = struct.unpack_from(entry, head, 8 + index * size)
        name = _name(cpu, subtype & 0xFFFFFFFF)
        if offset + extent > length:
            raise MachOError(f"truncated: the {name} code ends at {offset + extent} of {length}")
        found.append(Slice(name, offset, extent))
    return tuple(found)


def _check_slice(head: bytes, one: Slice) -> None:
    """Refuse a slice that is no Mach-O image, or whose load commands lie beyond its end."""
    if head[:4] not in _THIN:
        raise MachOError(f"the {one.architecture} code has no Mach-O header")
    order, size = _THIN[head[:4]]
    if len(head) < size or one.size < size:
        raise MachOError(f"truncated within the header of the {one.architecture} code")
    cpu, subtype, kind, _, commands = struct.unpack_from(f"{order}iIIII", head, 4)
    if _name(cpu, subtype) != one.architecture:
        raise MachOError(f"the {one.architecture} code says that it is {_name(cpu, subtype)}")
    if kind not in _LOADED:
        raise MachOError(f"file type {kind} is no executable, library or bundle")
    if size + commands > one.size:
        raise MachOError(f"truncated within the load commands of the {one.architecture} code")


def _name(cpu: int, subtype: int) -> str:
    name = _ARCHITECTURES.get(cpu)
    if name == "arm64" and subtype & _SUBTYPE_MASK == _ARM64E:
        return "arm64e"
    return name or f"cpu type {cpu}"
