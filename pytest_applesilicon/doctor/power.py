"""Checks of power: whatever slows the machine down while it measures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_applesilicon.doctor.check import Check, fine, problem, unknown

if TYPE_CHECKING:
    from pytest_applesilicon.doctor.check import Result
    from pytest_applesilicon.doctor.facts import Facts

_PMSET = "https://keith.github.io/xcode-man-pages/pmset.1.html"


def _battery(facts: Facts) -> Result:
    match = re.search(r"drawing from '([^']+)'", facts.text("pmset batt"))
    if not match:
        return unknown("pmset -g batt names no power source")
    if match[1] == "Battery Power":
        return problem("the Mac runs on its battery: timings may be lower", "connect the charger")
    return fine(f"runs on {match[1]}")


def _low_power(facts: Facts) -> Result:
    match = re.search(r"(?m)^\s*(?:lowpowermode|powermode)\s+(\d)", facts.text("pmset"))
    if not match:
        return unknown("pmset -g names no power mode")
    if match[1] == "1":
        return problem(
            "low power mode is on: the clocks are held down", "sudo pmset -a lowpowermode 0"
        )
    return fine("low power mode is off")


def _thermal(facts: Facts) -> Result:
    text = facts.text("pmset therm")
    match = re.search(r"CPU_Speed_Limit\s*=\s*(\d+)", text)
    if match and int(match[1]) < 100:
        return problem(
            f"the system limits the CPU to {match[1]} % because it is hot",
            "let the Mac cool down, then: pmset -g therm",
        )
    if not text.strip():
        return unknown("pmset -g therm gave no answer")
    return fine("no thermal limit is recorded")


CHECKS = (
    Check(
        "power.battery",
        "the charger is connected",
        ("macOS", "pmset"),
        "warn",
        _PMSET,
        _battery,
    ),
    Check(
        "power.low-power-mode",
        "low power mode is off",
        ("macOS", "pmset"),
        "warn",
        _PMSET,
        _low_power,
    ),
    Check(
        "power.thermal",
        "the system does not slow down for heat",
        ("macOS", "pmset"),
        "warn",
        _PMSET,
        _thermal,
    ),
)
