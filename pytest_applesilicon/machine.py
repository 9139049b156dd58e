"""Which machine a time belongs to, and the state it is in while it measures.

Two machines of different identity never share a baseline. Reading and parsing are apart, so
that every machine can be tested on any other; knows nothing of pytest.
"""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_applesilicon.records import Host

_PROGRAMS = {
    "battery": ("/usr/bin/pmset", "-g", "batt"),
    "power": ("/usr/bin/pmset", "-g"),
    "thermal": ("/usr/bin/pmset", "-g", "therm"),
}
_PROGRAM_LIMIT_S = 10.0

#: Linux tells the power source by one file for each supply.
_SUPPLIES = Path("/sys/class/power_supply")


@dataclass(frozen=True)
class Identity:
    """What must be the same for two times to be compared."""

    chip: str
    gpu_cores: str
    cpu_cores: str
    memory_gb: str
    system: str
    """With the major version: ``macOS 14``, ``Linux``."""
    interpreter: str
    """``arm64``, ``x86_64``, ``x86_64 under Rosetta``."""
    framework: str
    """With the minor version: ``torch 2.13``."""
    threads: str
    """``OMP_NUM_THREADS``, or default."""
    power: str
    """``AC``, ``battery`` or unknown."""

    @property
    def slug(self) -> str:
        """The name of a file for this identity."""
        text = "-".join(dataclasses.astuple(self))
        return re.sub(r"[^A-Za-z0-9.]+", "_", text)

    def differences(self, other: Identity) -> tuple[str, ...]:
        """``chip: Apple M1 there, Apple M4 here`` for every field of ``other`` that differs."""
        here, there = dataclasses.asdict(self), dataclasses.asdict(other)
        return tuple(
            f"{name.replace('_', ' ')}: {there[name]} there, {here[name]} here"
            for name in here
            if here[name] != there[name]
        )


def identity(
    host: Host,
    framework: str,
    version: str,
    power: str,
    environment: Mapping[str, str] = os.environ,
) -> Identity:
    """The identity of this host with one framework.

    Args:
        host: the machine and its interpreter.
        framework: its name.
        version: of the framework, of which the minor counts.
        power: see ``power_source``.
        environment: of the process.
    """
    known = "unknown"
    memory = known if host.memory_bytes is None else f"{host.memory_bytes / 2**30:.0f} GB"
    minor = ".".join(version.split(".")[:2]) or known
    major = (host.os_version or known).partition(".")[0]
    translated = " under Rosetta" if host.translated else ""
    return Identity(
        chip=host.chip or known,
        gpu_cores=str(host.gpu_cores or known),
        cpu_cores=str(host.cpu_cores or known),
        memory_gb=memory,
        system=f"{host.system} {major}" if host.system == "macOS" else host.system,
        interpreter=host.interpreter + translated,
        framework=f"{framework} {minor}",
        threads=environment.get("OMP_NUM_THREADS", "default"),
        power=power,
    )


def read_state(system: str) -> dict[str, str]:
    """What the system says of power and heat, as text; empty where it says nothing."""
    if system == "macOS":
        return {name: _answer(command) for name, command in _PROGRAMS.items()}
    if system == "Linux" and _SUPPLIES.is_dir():
        found = {}
        for supply in sorted(_SUPPLIES.iterdir()):
            kind, online = (_text(supply / name) for name in ("type", "online"))
            found[supply.name] = f"{kind} {online}".strip()
        return {"supplies": "\n".join(found.values())}
    return {}


def power_source(state: Mapping[str, str]) -> str:
    """``AC``, ``battery``, or ``unknown`` from the texts of ``read_state``."""
    match = re.search(r"drawing from '([^']+)'", state.get("battery", ""))
    if match:
        return "battery" if match[1] == "Battery Power" else "AC"
    supplies = state.get("supplies", "").splitlines()
    if any(re.fullmatch(r"(Mains|USB) 1", one) for one in supplies):
        return "AC"
    return "battery" if "Battery" in supplies else "unknown"


def conditions(state: Mapping[str, str], host: Host) -> dict[str, str]:
    """Thermal state, power mode, load and whether the GPU is virtual, as the report has them."""
    mode = re.search(r"(?m)^\s*(?:lowpowermode|powermode)\s+(\d)", state.get("power", ""))
    limit = re.search(r"CPU_Speed_Limit\s*=\s*(\d+)", state.get("thermal", ""))
    thermal = "unknown"
    if limit:
        thermal = f"CPU limited to {limit[1]} %" if int(limit[1]) < 100 else "no limit"
    elif state.get("thermal", "").strip():
        thermal = "no limit"
    virtual = {True: "yes", False: "no", None: "unknown"}[host.virtual]
    return {
        "power source": power_source(state),
        "power mode": {"0": "normal", "1": "low", "2": "high"}.get(mode[1], mode[1])
        if mode
        else "unknown",
        "thermal state": thermal,
        "load": load(),
        "virtual machine": virtual,
    }


def load() -> str:
    """The load of the last minute, of how many CPUs."""
    try:
        return f"{os.getloadavg()[0]:.1f} of {os.cpu_count()}"
    except (AttributeError, OSError):  # Windows
        return "unknown"


def _answer(command: tuple[str, ...]) -> str:
    import subprocess

    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROGRAM_LIMIT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
