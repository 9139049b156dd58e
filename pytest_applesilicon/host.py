"""What this machine is: chip, cores, memory, system, and whether Rosetta translates this Python.

Reading and parsing are apart. ``host_reading`` asks the system and keeps its answers as plain
text; ``parse`` makes a ``Host`` of them and is a pure function, so every kind of machine can be
tested on any other. Whatever is missing or makes no sense becomes ``None``: an unknown chip, a
later macOS or a sandbox must never stop a test run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_applesilicon.host_reading import MOST_LEVELS, Readings, level_keys, read, whole
from pytest_applesilicon.records import CoreLevel, Host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Limits far beyond any machine a test runs on: a larger figure is a misread (an error code, -1
# read as unsigned), and "not known" is better than a wrong number in a report.
_MOST_CORES = 4096
_MOST_BYTES = 2**50
_LONGEST_NAME = 100

_ARCHITECTURES = {"aarch64": "arm64", "arm64": "arm64", "amd64": "x86_64", "x86_64": "x86_64"}

_LINE_LENGTH = 100


def detect() -> Host:
    """The machine and interpreter this runs on. Never raises for what it cannot find out.

    On Apple silicon one child process is started (``ioreg``, for the GPU core count); elsewhere
    none.
    """
    return parse(read())


def parse(readings: Readings) -> Host:
    """The host that ``readings`` describe. Pure; never raises, whatever the texts hold."""
    if readings.system == "Darwin":
        return _parse_mac(readings)
    if readings.system == "Linux":
        return _parse_linux(readings)
    architecture = _architecture(readings.machine)
    return Host(
        system=_clean(readings.system) or "unknown",
        os_version=_clean(readings.texts.get("version")),
        machine=architecture,
        interpreter=architecture,
    )


def architecture(machine: str) -> str:
    """``arm64``, ``x86_64`` or the platform's own name of what ``platform.machine()`` gave."""
    return _architecture(machine)


def describe(host: Host) -> str:
    """One line for people: chip, cores, memory, system, architecture.

    The core levels are named where the line then fits ``_LINE_LENGTH``, else only counted.
    """
    named, counted = (
        ", ".join(
            [
                _chip_and_figures(host, cores),
                _system_and_version(host),
                _architecture_words(host),
                *(["virtual machine"] if host.virtual else []),
            ]
        )
        for cores in (_named_cores(host), _count(host.cpu_cores, "core"))
    )
    return named if len(named) <= _LINE_LENGTH else counted


# Parsing: macOS


def _parse_mac(readings: Readings) -> Host:
    sysctl, ioreg = readings.sysctl, readings.texts.get("ioreg", "")
    interpreter = _architecture(readings.machine)
    # hw.optional.arm64 is 1 on Apple silicon even for a translated process
    # (Homebrew/install#319), which itself is told x86_64.
    apple_silicon = _is_set(sysctl, "hw.optional.arm64")
    translated = _is_set(sysctl, "sysctl.proc_translated") or (
        apple_silicon and interpreter == "x86_64"
    )
    model = _clean(sysctl.get("hw.model"))
    chip = _mac_chip(sysctl, ioreg)
    levels = _core_levels(sysctl)
    cores = whole(sysctl.get("hw.physicalcpu"), _MOST_CORES)
    return Host(
        system="macOS",
        os_version=_mac_version(readings),
        model=model,
        chip=chip,
        generation=_generation(chip),
        core_levels=levels,
        cpu_cores=cores or sum(level.cores for level in levels) or None,
        gpu_cores=whole(_found(r'"gpu-core-count"\s*=\s*(\S+)', ioreg), _MOST_CORES),
        memory_bytes=whole(sysctl.get("hw.memsize"), _MOST_BYTES),
        virtual=_mac_is_virtual(sysctl, model, chip),
        machine="arm64" if apple_silicon or translated else interpreter,
        interpreter=interpreter,
        translated=translated,
    )


def _mac_chip(sysctl: Mapping[str, str], ioreg: str) -> str | None:
    """The marketing name.

    ``VirtualApple`` is the processor that Rosetta pretends to be (PCSX2/pcsx2#13100), not a
    chip; the GPU's own entry still has the name.
    """
    return _real_chip(sysctl.get("machdep.cpu.brand_string")) or _clean(
        _found(r'"model"\s*=\s*"(Apple [^"\n]+)"', ioreg)
    )


def _mac_version(readings: Readings) -> str | None:
    """The version of macOS, for example ``14.5``.

    A process built with an older SDK may be told 10.16 or 16.0, which were never released
    (python/cpython#135675); the plist has the real version then.
    """
    told = _clean(readings.sysctl.get("kern.osproductversion"))
    if told is not None and not re.match(r"(10\.16|16)(\.|$)", told):
        return told
    plist = readings.texts.get("plist", "")
    return _clean(_found(r"<key>ProductVersion</key>\s*<string>([^<]*)</string>", plist))


def _mac_is_virtual(sysctl: Mapping[str, str], model: str | None, chip: str | None) -> bool | None:
    named = (model or "").startswith("VirtualMac") or "(Virtual)" in (chip or "")
    if named or _is_set(sysctl, "kern.hv_vmm_present"):
        return True
    return False if sysctl.get("kern.hv_vmm_present", "").strip() == "0" else None


def _core_levels(sysctl: Mapping[str, str]) -> tuple[CoreLevel, ...]:
    """The performance levels with the system's own names; level 0 is always the fastest.

    The names are read, not assumed: an M5 Max has Super and Performance, no Efficiency
    (kennss/SiliconScope#30). One level, as on Intel and in a virtual machine, tells nothing apart.
    """
    count = whole(sysctl.get("hw.nperflevels"), MOST_LEVELS) or 0
    levels = []
    for index in range(count if count > 1 else 0):
        name_key, cores_key = level_keys(index)
        cores = whole(sysctl.get(cores_key), _MOST_CORES)
        if cores is None:
            return ()  # some of the levels would look like the whole chip
        # macOS 12 counts the levels but does not name them (Dr-Noob/cpufetch#139).
        levels.append(CoreLevel(_clean(sysctl.get(name_key)) or f"level {index}", cores))
    return tuple(levels)


def _generation(chip: str | None) -> str | None:
    """``M1`` of ``Apple M1 Pro``, ``A18`` of ``Apple A18 Pro``; later numbers alike."""
    return _found(r"^Apple ([MA][0-9]{1,3})(?=\s|$)", chip or "")


def _is_set(sysctl: Mapping[str, str], key: str) -> bool:
    return sysctl.get(key, "").strip() == "1"


# Parsing: Linux


def _parse_linux(readings: Readings) -> Host:
    texts = readings.texts
    architecture = _architecture(readings.machine)
    processors = _processors(texts.get("cpuinfo", ""))
    first = processors[0] if processors else {}
    chip = _real_chip(first.get("model name"))
    kilobytes = whole(
        _found(r"(?m)^MemTotal:\s*(\d+) kB", texts.get("meminfo", "")), _MOST_BYTES // 1024
    )
    return Host(
        system="Linux",
        os_version=_distribution(texts.get("os-release", "")),
        chip=chip,
        generation=_generation(chip),
        cpu_cores=_linux_cores(processors, texts.get("smt", "")),
        memory_bytes=None if kilobytes is None else kilobytes * 1024,
        # Only x86 says so in its flags; on Arm it is not known.
        virtual="hypervisor" in first["flags"].split() if "flags" in first else None,
        machine=architecture,
        interpreter=architecture,
    )


def _processors(cpuinfo: str) -> list[dict[str, str]]:
    """The fields of every logical processor in the text of ``/proc/cpuinfo``."""
    processors: list[dict[str, str]] = []
    for line in cpuinfo.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if key == "processor":
            processors.append({})
        if colon and processors:
            processors[-1][key] = value
    return processors


def _linux_cores(processors: Sequence[Mapping[str, str]], smt: str) -> int | None:
    """Physical cores: the distinct core ids or, where Arm gives none, what ``smt`` allows."""
    if all("core id" in processor for processor in processors):
        cores = len({(each.get("physical id"), each["core id"]) for each in processors})
    elif smt.strip() == "0":
        cores = len(processors)
    else:
        return None
    return cores if 0 < cores <= _MOST_CORES else None


def _distribution(os_release: str) -> str | None:
    """For example ``Ubuntu 22.04``; a rolling distribution has a name only."""
    fields = dict(line.partition("=")[::2] for line in os_release.splitlines())
    parts = (_clean(fields.get(key, "").strip("\"'")) for key in ("NAME", "VERSION_ID"))
    return " ".join(part for part in parts if part) or None


# Parsing: all systems


def _real_chip(name: str | None) -> str | None:
    cleaned = _clean(name)
    return None if cleaned is None or cleaned.startswith("VirtualApple") else cleaned


def _architecture(name: str) -> str:
    cleaned = _clean(name) or "unknown"
    return _ARCHITECTURES.get(cleaned.lower(), cleaned)


def _clean(text: str | None) -> str | None:
    """``text`` on one line, printable, not overlong; ``None`` where nothing is left."""
    printable = "".join(each if each.isprintable() else " " for each in text or "")
    return " ".join(printable.split())[:_LONGEST_NAME].strip() or None


def _found(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return None if match is None else match[1]


# Describing


def _chip_and_figures(host: Host, cores: str) -> str:
    figures = [cores, _count(host.gpu_cores, "GPU core"), _memory(host.memory_bytes)]
    known = ", ".join(figure for figure in figures if figure)
    name = host.chip or host.model or "unknown chip"
    return f"{name} ({known})" if known else name


def _named_cores(host: Host) -> str:
    levels = " + ".join(f"{level.cores} {level.name}" for level in host.core_levels)
    return f"{levels} cores" if levels else _count(host.cpu_cores, "core")


def _count(number: int | None, noun: str) -> str:
    return "" if number is None else f"{number} {noun}{'' if number == 1 else 's'}"


def _memory(size: int | None) -> str:
    if size is None:
        return ""
    # As Apple labels it: 16 GB is 16 * 2**30 bytes.
    return f"{round(size / 2**30)} GB" if size >= 2**30 else f"{round(size / 2**20)} MB"


def _system_and_version(host: Host) -> str:
    name = "unknown system" if host.system == "unknown" else host.system
    if host.os_version is None:
        return name
    return f"{name} ({host.os_version})" if name == "Linux" else f"{name} {host.os_version}"


def _architecture_words(host: Host) -> str:
    if host.translated:
        return f"{host.interpreter} Python translated by Rosetta on {host.machine}"
    return "unknown architecture" if host.machine == "unknown" else host.machine
