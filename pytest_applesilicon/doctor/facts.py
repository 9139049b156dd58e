"""What the doctor knows of an installation, parsed from the text that ``gather`` read.

Pure, and never raises: a line that makes no sense is left out, and what is missing is ``None``
or empty, so that a check can say that it could not look.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from pytest_applesilicon import host as hosts
from pytest_applesilicon import host_reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_applesilicon.records import Host


@dataclass(frozen=True)
class Binary:
    """One compiled file of an installed distribution."""

    distribution: str
    path: str
    architectures: tuple[str, ...]
    problem: str = ""
    """Why the file could not be read; empty where it could."""


@dataclass(frozen=True)
class SourceLine:
    """A line of the user's own code that sets something torch reads."""

    file: str
    line: int
    text: str
    torch_imported: int | None
    """The line that imports torch earlier in the same file."""


@dataclass(frozen=True)
class Facts:
    """The machine, the interpreter and what is installed."""

    host: Host
    texts: Mapping[str, str]
    """The readings by source, for a check that looks for one phrase."""
    python: Mapping[str, str] = field(default_factory=dict)
    """``version``, ``executable``, ``prefix``, ``platform_tag``, ``slices``, ``program`` ..."""
    environment: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    """Installed distributions by normalised name."""
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Wheel tags by normalised name."""
    binaries: tuple[Binary, ...] = ()
    torch: Mapping[str, str] = field(default_factory=dict)
    """``built``, ``available``, ``state``, ``reason``, ``remedy`` of the probe."""
    sources: tuple[SourceLine, ...] = ()
    conda_subdir: str | None = None

    @property
    def apple_silicon(self) -> bool:
        return self.host.system == "macOS" and self.host.machine == "arm64"

    @property
    def macos(self) -> Version | None:
        return version(self.host.os_version) if self.host.system == "macOS" else None

    def version(self, name: str) -> Version | None:
        """The installed version of a distribution; ``None`` where it is not installed."""
        return version(self.versions.get(name))

    def text(self, source: str) -> str:
        return self.texts.get(source, "")

    def lacks(self, need: str) -> str:
        """Why ``need`` (a name in ``NEEDS``) is not met; empty where it is."""
        test, reason = NEEDS[need]
        return "" if test(self) else reason.format(system=self.host.system)


#: What a check may need: how to tell, and what is said where it is missing.
NEEDS: dict[str, tuple[Callable[[Facts], bool], str]] = {
    "macOS": (lambda facts: facts.host.system == "macOS", "needs macOS, and this is {system}"),
    "Apple silicon": (
        lambda facts: facts.apple_silicon,
        "needs Apple silicon, and this is another machine",
    ),
    "numpy": (lambda facts: "numpy" in facts.versions, "numpy is not installed"),
    "torch": (lambda facts: "torch" in facts.versions, "torch is not installed"),
    "tensorflow": (lambda facts: bool(tensorflow(facts)), "tensorflow is not installed"),
    "tensorflow-metal": (
        lambda facts: "tensorflow-metal" in facts.versions,
        "tensorflow-metal is not installed",
    ),
    "pip": (lambda facts: "pip" in facts.versions, "pip is not installed"),
    "binaries": (lambda facts: bool(facts.binaries), "no compiled package was found"),
    "pmset": (
        lambda facts: any(key.startswith("pmset") for key in facts.texts),
        "pmset gave no answer",
    ),
}


def tensorflow(facts: Facts) -> str | None:
    """The distribution that provides ``import tensorflow`` here.

    Both may be installed, as one of them was a stub onto the other: up to 2.12 the code is in
    tensorflow-macos, from 2.13 ``tensorflow`` is what users install
    (developer.apple.com/metal/tensorflow-plugin).
    """
    names = ("tensorflow", "tensorflow-macos", "tensorflow-cpu")
    return next((name for name in names if name in facts.versions), None)


def version(text: str | None) -> Version | None:
    """The version in a text; ``None`` where there is none."""
    try:
        return Version(text or "")
    except InvalidVersion:
        return None


def release(text: Version) -> str:
    """``2.18`` of 2.18.1."""
    return f"{text.major}.{text.minor}"


def parse(readings: Mapping[str, str]) -> Facts:
    """The facts in the texts of ``gather.read``, or of a recorded situation."""
    python = _pairs(readings.get("python", ""))
    versions, tags = _packages(readings.get("packages", ""))
    return Facts(
        host=_host(readings),
        texts=readings,
        python=python,
        environment=_pairs(readings.get("environment", ""), "="),
        versions=versions,
        tags=tags,
        binaries=_binaries(readings.get("binaries", "")),
        torch=_pairs(readings.get("torch", "")),
        sources=_sources(readings.get("sources", "")),
        conda_subdir=_first(
            r'\b(?:subdir|platform)"?\s*:\s*"?(osx-arm64|osx-64|linux-\w+|win-\w+|noarch)',
            readings.get("conda", ""),
        ),
    )


def _host(readings: Mapping[str, str]) -> Host:
    platform = _pairs(readings.get("platform", ""))
    sysctl = host_reading.parse_sysctl(readings.get("sysctl", ""))
    told = _first(r"(?m)^ProductVersion:\s*(\S+)", readings.get("sw_vers", ""))
    if told and "kern.osproductversion" not in sysctl:
        sysctl["kern.osproductversion"] = told
    texts = {name: readings[name] for name in _HOST_TEXTS if name in readings}
    system, machine = platform.get("system", ""), platform.get("machine", "")
    return hosts.parse(host_reading.Readings(system, machine, sysctl, texts))


_HOST_TEXTS = ("plist", "ioreg", "cpuinfo", "meminfo", "os-release", "smt", "version")


def _pairs(text: str, sign: str = ":") -> dict[str, str]:
    lines = (line.partition(sign) for line in text.splitlines())
    return {key.strip(): value.strip() for key, found, value in lines if found and key.strip()}


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None


def normalised(name: str) -> str:
    """A name of a distribution as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _packages(text: str) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """From lines such as ``numpy==2.4.6 cp312-cp312-macosx_14_0_arm64`` (``pip freeze`` too)."""
    versions: dict[str, str] = {}
    tags: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        match = re.match(r"\s*([A-Za-z0-9][\w.-]*)==(\S+)(.*)", line)
        if match:
            name = normalised(match[1])
            versions[name], tags[name] = match[2], tuple(match[3].split())
    return versions, tags


def _binaries(text: str) -> tuple[Binary, ...]:
    """From lines of distribution, path and architectures (or ``!`` and a problem), by tabs."""
    found = []
    for line in text.splitlines():
        parts = line.split("\t")
        if len(parts) != 3:
            continue
        name, path, held = (part.strip() for part in parts)
        bad = held.startswith("!")
        architectures = () if bad else tuple(held.split(","))
        found.append(Binary(normalised(name), path, architectures, held[1:].strip() if bad else ""))
    return tuple(found)


def _sources(text: str) -> tuple[SourceLine, ...]:
    """From lines of file, line, line of the import of torch (or ``-``) and text, by tabs."""
    found = []
    for line in text.splitlines():
        parts = line.split("\t", 3)
        if len(parts) == 4 and parts[1].isdigit():
            imported = int(parts[2]) if parts[2].isdigit() else None
            found.append(SourceLine(parts[0], int(parts[1]), parts[3].strip(), imported))
    return tuple(found)
