"""Asking the system what this machine is; its answers are kept as plain text.

Standard library only. ctypes and subprocess are imported where they are used, so that importing
this module costs nothing.
"""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: More levels of cores than any machine has: a larger figure is a misread.
MOST_LEVELS = 8
_LARGEST_SYSCTL = 4096

TEXT_KEYS = ("machdep.cpu.brand_string", "hw.model", "kern.osproductversion")
NUMBER_KEYS = (
    "hw.memsize",
    "hw.physicalcpu",
    "hw.nperflevels",
    "hw.optional.arm64",
    "kern.hv_vmm_present",
    "sysctl.proc_translated",
)

LINUX_FILES = {
    "cpuinfo": "/proc/cpuinfo",
    "meminfo": "/proc/meminfo",
    "os-release": "/etc/os-release",
    "smt": "/sys/devices/system/cpu/smt/active",
}
_MAC_VERSION_FILE = "/System/Library/CoreServices/.SystemVersionPlatform.plist"

_LIBSYSTEM = "/usr/lib/libSystem.B.dylib"
_IOREG = ("/usr/sbin/ioreg", "-rc", "AGXAccelerator", "-d", "1")
# It answers in some 20 ms (sbryngelson/ANEForge#151); the limit is for a machine that swaps.
_IOREG_LIMIT_S = 5.0


@dataclass(frozen=True)
class Readings:
    """What the system said, as text, before anything is made of it."""

    system: str = ""
    """``platform.system()``: ``Darwin``, ``Linux``, ``Windows`` ..."""
    machine: str = ""
    """``platform.machine()``: on a Mac the architecture this process runs as."""
    sysctl: Mapping[str, str] = field(default_factory=dict)
    """macOS: the answers of sysctl by key; a key the system does not know is absent."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Other text by source: ``ioreg`` and ``plist`` on macOS; ``cpuinfo``, ``meminfo``,
    ``os-release`` and ``smt`` on Linux; ``version`` elsewhere."""


def parse_sysctl(text: str) -> dict[str, str]:
    """The ``key: value`` lines of the output of the ``sysctl`` command, by key.

    Other lines, such as ``sysctl: unknown oid ...``, are left out.
    """
    answers = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if re.fullmatch(r"\w+(\.\w+)+", key, re.ASCII):
            answers[key] = value.strip()
    return answers


def read() -> Readings:
    """Ask the system this runs on. An answer it does not give is absent or empty."""
    system, machine = platform.system(), platform.machine()
    if system == "Darwin":
        library = system_library()
        sysctl = {} if library is None else read_sysctl(library)
        texts = {"plist": read_text(_MAC_VERSION_FILE)}
        if sysctl.get("hw.optional.arm64") == "1":
            texts["ioreg"] = read_ioreg()
        return Readings(system, machine, sysctl, texts)
    if system == "Linux":
        texts = {source: read_text(path) for source, path in LINUX_FILES.items()}
        return Readings(system, machine, texts=texts)
    # On Windows the release is only "10" or "11"; elsewhere the version is a build stamp.
    version = platform.version() if system == "Windows" else platform.release()
    return Readings(system, machine, texts={"version": version})


def read_text(path: str) -> str:
    """The content of a small text file, or the empty string where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def read_ioreg(command: Sequence[str] = _IOREG, limit_s: float = _IOREG_LIMIT_S) -> str:
    """What the IORegistry says of Apple's GPU, the one fact that sysctl does not have.

    Empty where ``command`` is missing, fails or takes longer than ``limit_s`` seconds.
    """
    return output(command, limit_s, check=True)


def output(command: Sequence[str], limit_s: float, *, check: bool = False) -> str:
    """What a program prints; empty where it is missing or takes longer than ``limit_s`` seconds.

    With ``check`` also where it ends with another status than 0.
    """
    import subprocess

    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=check
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def system_library(path: str = _LIBSYSTEM) -> Any | None:
    """The C library with ``sysctlbyname`` ready to call, or ``None`` where there is none.

    In this process, because ``sysctl.proc_translated`` describes the process that asks
    (Homebrew/brew#7995): the ``sysctl`` command would answer for itself.
    """
    import ctypes

    try:
        library = ctypes.CDLL(path)
        function = library.sysctlbyname
    except (OSError, AttributeError):
        return None
    size_pointer = ctypes.POINTER(ctypes.c_size_t)
    function.argtypes = (
        ctypes.c_char_p,
        ctypes.c_void_p,
        size_pointer,
        ctypes.c_void_p,
        ctypes.c_size_t,
    )
    function.restype = ctypes.c_int
    return library


def read_sysctl(library: Any) -> dict[str, str]:
    """Every key that ``parse`` uses and ``library`` (see ``system_library``) can answer."""
    answers = {key: _sysctl_text(library, key) for key in TEXT_KEYS}
    answers.update({key: _sysctl_number(library, key) for key in NUMBER_KEYS})
    for level in range(whole(answers["hw.nperflevels"], MOST_LEVELS) or 0):
        name, cores = level_keys(level)
        answers[name] = _sysctl_text(library, name)
        answers[cores] = _sysctl_number(library, cores)
    return {key: answer for key, answer in answers.items() if answer is not None}


def _sysctl_text(library: Any, key: str) -> str | None:
    raw = _sysctl_bytes(library, key)
    return None if raw is None else raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def _sysctl_number(library: Any, key: str) -> str | None:
    raw = _sysctl_bytes(library, key)
    if raw is None or len(raw) not in (4, 8):
        return None
    return str(int.from_bytes(raw, sys.byteorder, signed=True))


def _sysctl_bytes(library: Any, key: str) -> bytes | None:
    """The value of ``key``; ``None`` where the system does not know it (``ENOENT``) or fails."""
    import ctypes

    name, size = key.encode(), ctypes.c_size_t(0)
    if library.sysctlbyname(name, None, ctypes.byref(size), None, 0) != 0:
        return None
    if size.value > _LARGEST_SYSCTL:
        return None
    buffer = ctypes.create_string_buffer(size.value)
    if library.sysctlbyname(name, buffer, ctypes.byref(size), None, 0) != 0:
        return None
    return buffer.raw[: size.value]


def level_keys(index: int) -> tuple[str, str]:
    """The keys of sysctl for the name and the physical cores of a performance level."""
    return f"hw.perflevel{index}.name", f"hw.perflevel{index}.physicalcpu"


def whole(text: str | None, most: int) -> int | None:
    """The number in ``text`` where it is a whole one from 1 to ``most``."""
    digits = (text or "").strip()
    # The length too: int() raises ValueError for thousands of digits.
    if not re.fullmatch(r"[0-9]{1,20}", digits):
        return None
    number = int(digits)
    return number if 0 < number <= most else None
