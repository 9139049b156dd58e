"""Architectures of Mach-O files: made by hand, cut off, and with random bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from macholib.MachO import MachO

from pytest_applesilicon.doctor import facts, macho, registry

ARM64, X86_64 = 0x0100000C, 0x01000007


def thin(cpu=ARM64, subtype=0, kind=6, order="<"):
    """A library with one load command (LC_UUID, 24 bytes)."""
    head = struct.pack(f"{order}IiIIIIII", 0xFEEDFACF, cpu, subtype, kind, 1, 24, 0, 0)
    return head + struct.pack(f"{order}II16s", 0x1B, 24, bytes(range(16)))


def fat(*parts, wide=False):
    """A universal file of (cpu type, content)."""
    magic, entry, size = (0xCAFEBABF, ">iiQQII", 32) if wide else (0xCAFEBABE, ">iiIII", 20)
    head, body = struct.pack(">II", magic, len(parts)), b""
    start = 4096
    for cpu, content in parts:
        fields = (cpu, 0, start + len(body), len(content), 14, *([0] if wide else []))
        head += struct.pack(entry, *fields)
        body += content
    assert len(head) == 8 + size * len(parts)
    return head.ljust(start, b"\0") + body


UNIVERSAL = fat((X86_64, thin(X86_64)), (ARM64, thin()))


def read(content, folder):
    path = folder / "library.dylib"
    path.write_bytes(content)
    return macho.architectures(path)


@pytest.mark.parametrize(
    ("content", "held"),
    [
        (thin(), ("arm64",)),
        (thin(X86_64, 3), ("x86_64",)),
        (thin(subtype=2 | 0x80000000), ("arm64e",)),
        (thin(0x12, order=">"), ("ppc",)),
        (thin(kind=8), ("arm64",)),
        (UNIVERSAL, ("x86_64", "arm64")),
        (fat((ARM64, thin()), wide=True), ("arm64",)),
        (thin(0x01000099), ("cpu type 16777369",)),
    ],
)
def test_architectures_of_whole_files(content, held, tmp_path):
    assert read(content, tmp_path) == held


def test_macholib_reads_the_same_in_the_files_made_here(tmp_path):
    path = tmp_path / "library.dylib"
    path.write_bytes(UNIVERSAL)

    theirs = [one.header.cputype for one in MachO(str(path)).headers]

    assert theirs == [X86_64, ARM64]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"\x7fELF" + bytes(60), "no Mach-O file: it begins with 7f 45 4c 46"),
        (thin()[:20], "truncated: 20 bytes, the header alone has 32"),
        (thin()[:40], "truncated within the load commands of the arm64 code"),
        (UNIVERSAL[:30], "truncated within the header of 2 architectures"),
        (UNIVERSAL[:-1], "truncated: the arm64 code ends at 4208 of 4207"),
        (b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(99), "its universal header counts 52"),
        (fat((X86_64, thin(ARM64))), "the x86_64 code says that it is arm64"),
        (fat((ARM64, bytes(64))), "the arm64 code has no Mach-O header"),
        (thin(kind=1), "file type 1 is no executable, library or bundle"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(content, says, tmp_path):
    with pytest.raises(macho.MachOError, match=says.replace(".", r"\.")):
        read(content, tmp_path)


def test_missing_file_and_folder_are_said(tmp_path):
    with pytest.raises(macho.MachOError, match="cannot be read: No such file"):
        macho.architectures(tmp_path / "none")
    with pytest.raises(macho.MachOError, match="cannot be read: Is a directory"):
        macho.architectures(tmp_path)


WHOLE = st.sampled_from([thin(), thin(X86_64), UNIVERSAL, fat((ARM64, thin()), wide=True)])


@given(
    WHOLE,
    st.lists(st.tuples(st.integers(0, 4300), st.integers(0, 255)), max_size=8),
    st.integers(0, 4400),
)
def test_changed_and_cut_files_give_architectures_or_a_finding(
    tmp_path_factory, whole, changes, length
):
    content = bytearray(whole)
    for at, value in changes:
        content[at % len(content)] = value
    check(bytes(content[:length]), tmp_path_factory)


@given(st.binary(max_size=200), st.sampled_from([b"", *macho._THIN, *macho._FAT]))
def test_random_bytes_give_architectures_or_a_finding(tmp_path_factory, content, magic):
    check(magic + content, tmp_path_factory)


def check(content, tmp_path_factory):
    """The doctor's way of a file: a line of ``binaries``, and a finding."""
    folder = tmp_path_factory.getbasetemp()
    path = folder / "fuzzed.so"
    path.write_bytes(content)
    try:
        held = ",".join(macho.architectures(path))
    except macho.MachOError as error:
        held = f"! {error}"
    readings = {
        "platform": "system: Darwin\nmachine: arm64",
        "binaries": f"fuzzed\tfuzzed.so\t{held}",
    }
    found = registry.examine(facts.parse(readings), ("packages",))
    bad = {one.check for one in found if one.status == "fail"}
    assert bad <= {"packages.unreadable", "packages.architectures"}
    assert ("packages.unreadable" in bad) == held.startswith("!")
