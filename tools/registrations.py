"""What a macOS library of torch registers for MPS, read from its machine code.

A kernel is registered in a static function ``TORCH_LIBRARY_IMPL_init_aten_MPS_<n>``, which hands
the dispatcher a name and the address of a function. The released library is not stripped, so
these functions are found by their symbols; in their arm64 code each address is made by ADRP and
ADD, and an address in the constants is a name. So the registrations are read where they are
made, those that no table knows included, and nothing of the library is run.

The layout is that of <mach-o/loader.h> and <mach-o/nlist.h>; the encodings of ADRP, ADR and ADD
stand in the Arm Architecture Reference Manual, section C6.2.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pytest_applesilicon.doctor import macho

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The keys of the dispatcher whose registrations are read.
KEYS = ("MPS", "SparseMPS", "SparseCsrMPS")

_INIT = re.compile(rb"TORCH_LIBRARY_IMPL_init_aten_([A-Za-z]+)_\d+ERN5torch7LibraryE\0")
_NAME = re.compile(rb"(?:aten::)?([A-Za-z_]\w*(?:\.\w+)?)\0")

#: The one kernel that runs an operator on the CPU (aten/src/ATen/mps/MPSFallback.mm).
_FALLBACK = b"mps_fallback"

#: A function with internal linkage in ``namespace at``: hand-written code. Generated
#: registrations stand in an anonymous namespace (torchgen/dest/register_dispatch_key.py).
_BY_HAND = b"__ZN2atL"

_SEGMENT_64, _SYMTAB, _BUILD_VERSION = 0x19, 0x02, 0x32
_LITERALS = 2  # S_CSTRING_LITERALS
_NLIST = np.dtype(
    [("name", "<u4"), ("type", "u1"), ("section", "u1"), ("more", "<u2"), ("value", "<u8")]
)
#: <mach-o/nlist.h>: N_STAB marks debugging symbols, N_TYPE is N_SECT for a defined one.
_STAB, _TYPE, _IN_SECTION = 0xE0, 0x0E, 0x0E


class ReadError(ValueError):
    """The library is truncated or not of the expected form; the text says where."""


@dataclass(frozen=True)
class Registrations:
    """What a library registers for one dispatch key."""

    kernels: frozenset[str]
    """Overloads with a kernel: ``add.Tensor``."""
    fallbacks: frozenset[str] = field(default=frozenset())
    """Overloads that always run on the CPU."""


@dataclass(frozen=True)
class Layout:
    """The parts of a Mach-O file that are needed here."""

    symbols: int
    count: int
    strings: int
    strings_size: int
    constants: tuple[tuple[int, int], ...]
    """Where the text literals begin and end."""
    minos: str
    """The oldest macOS the library says it runs on."""

    def is_constant(self, address: int) -> bool:
        return any(begin <= address < end for begin, end in self.constants)


def read(library: bytes, known: frozenset[str]) -> dict[str, Registrations]:
    """The registrations by dispatch key.

    Args:
        library: an arm64 Mach-O file whose addresses are offsets in it, as those of a dylib are.
        known: every overload of this release; other text near a registration is none.

    Raises:
        ReadError: the file is truncated, or holds no registration for MPS.
    """
    layout = read_layout(library)
    symbols = _Symbols(library, layout)
    found: dict[str, tuple[set[str], set[str]]] = {key: (set(), set()) for key in KEYS}
    for match in _INIT.finditer(symbols.strings):
        key = match[1].decode()
        if key not in found:
            continue
        kernels, fallbacks = found[key]
        start = symbols.strings.rfind(b"\0", 0, match.start()) + 1
        by_hand = symbols.strings.startswith(_BY_HAND, start)
        for begin, end in symbols.places(start):
            for name, falls_back in _registered(library, layout, symbols, begin, end):
                if name in known:
                    (fallbacks if falls_back and by_hand else kernels).add(name)
    if not found["MPS"][0]:
        raise ReadError("the library registers no kernel for MPS")
    return {key: Registrations(frozenset(k), frozenset(f)) for key, (k, f) in found.items()}


def read_layout(library: bytes) -> Layout:
    """Where the symbols of a file are.

    Raises:
        ReadError: it is not a whole arm64 library.
    """
    try:
        (part,) = macho.slices(library[:1024], len(library))
        if part.architecture != "arm64" or part.offset:
            raise ReadError(f"the library is {part.architecture}, not arm64 alone")
        commands = dict(_commands(library))
        constants = tuple(_constants(library, commands[_SEGMENT_64]))
        symbols, count, strings, size = struct.unpack_from("<IIII", library, commands[_SYMTAB] + 8)
        minos = struct.unpack_from("<I", library, commands[_BUILD_VERSION] + 12)[0]
    except (ValueError, KeyError, struct.error) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"the library is not whole: {error}") from None
    end = max(symbols + count * _NLIST.itemsize, strings + size)
    if end > len(library):
        raise ReadError(f"the library is truncated: its symbols end at {end} of {len(library)}")
    return Layout(symbols, count, strings, size, constants, f"{minos >> 16}.{minos >> 8 & 0xFF}")


def _commands(library: bytes) -> Iterator[tuple[int, int]]:
    """The load commands and their offsets; of the segments only the one with the code."""
    count = struct.unpack_from("<I", library, 16)[0]
    place = 32
    for _ in range(count):
        command, size = struct.unpack_from("<II", library, place)
        name = library[place + 8 : place + 24].rstrip(b"\0")
        if command != _SEGMENT_64 or name == b"__TEXT":
            yield command, place
        if command == _SEGMENT_64:
            address, _, offset, length = struct.unpack_from("<QQQQ", library, place + 24)
            if offset + length > len(library):
                raise ReadError(f"the library is truncated in {name.decode()}")
            if name == b"__TEXT" and address != offset:
                raise ReadError("the code is not mapped where it stands in the file")
        if size < 8:
            raise ReadError("a load command has no size")
        place += size


def _constants(library: bytes, segment: int) -> Iterator[tuple[int, int]]:
    """Where the sections with text literals are, of a segment command at this offset."""
    for index in range(struct.unpack_from("<I", library, segment + 64)[0]):
        section = segment + 72 + 80 * index
        begin, size = struct.unpack_from("<QQ", library, section + 32)
        if struct.unpack_from("<I", library, section + 64)[0] & 0xFF == _LITERALS:
            yield begin, begin + size


class _Symbols:
    """The defined symbols of a library, in the order of their addresses."""

    def __init__(self, library: bytes, layout: Layout) -> None:
        self.strings = library[layout.strings : layout.strings + layout.strings_size]
        table = np.frombuffer(library, _NLIST, layout.count, layout.symbols)
        table = table[((table["type"] & _STAB) == 0) & ((table["type"] & _TYPE) == _IN_SECTION)]
        self._table = table[np.argsort(table["value"], kind="stable")]
        self._values = self._table["value"]
        self._end = max((begin for begin, _ in layout.constants), default=len(library))

    def places(self, name: int) -> list[tuple[int, int]]:
        """Where the functions of this name (an offset in the strings) begin and end."""
        begins = [int(one) for one in self._values[self._table["name"] == name]]
        return [(one, self._after(one)) for one in begins]

    def _after(self, address: int) -> int:
        place = int(np.searchsorted(self._values, address, side="right"))
        return int(self._values[place]) if place < len(self._values) else self._end

    def at(self, address: int) -> bytes:
        """The name of what begins at an address; empty where nothing does."""
        place = int(np.searchsorted(self._values, address))
        if place == len(self._values) or int(self._values[place]) != address:
            return b""
        begin = int(self._table["name"][place])
        return self.strings[begin : self.strings.find(b"\0", begin)]


def _registered(
    library: bytes, layout: Layout, symbols: _Symbols, begin: int, end: int
) -> Iterator[tuple[str, bool]]:
    """The names that a function registers, and whether no kernel of its own was loaded for one.

    The function that falls back is loaded once, or from memory; any other one is loaded before
    the name that it is registered under.
    """
    kernel = False
    for address in addresses(library, begin, end):
        if layout.is_constant(address):
            name = _NAME.match(library, address)
            if name and library[address - 1] == 0:
                yield name[1].decode(), not kernel
                kernel = False
            continue
        function = symbols.at(address)
        if function:
            kernel = _FALLBACK not in function


def addresses(library: bytes, begin: int, end: int) -> Iterator[int]:
    """Every address that the code from ``begin`` to ``end`` makes by ADRP and ADD, or by ADR."""
    pages: dict[int, int] = {}
    for place in range(begin, end, 4):
        (word,) = struct.unpack_from("<I", library, place)
        target, source = word & 31, word >> 5 & 31
        if word & 0x1F000000 == 0x10000000:  # ADR, and ADRP where the top bit is set
            offset = (word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3
            offset -= (offset & 1 << 20) << 1
            if word >> 31:
                pages[target] = (place & ~0xFFF) + (offset << 12)
            else:
                yield place + offset
        elif word & 0xFF800000 == 0x91000000 and source in pages:  # ADD of an immediate number
            pages[target] = pages[source] + (word >> 10 & 0xFFF) * (4096 if word & 1 << 22 else 1)
            yield pages[target]
