"""Checks of the machine a test run is given: a virtual GPU, a hosted image, memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_applesilicon.doctor import tables
from pytest_applesilicon.doctor.check import Check, fine, problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_applesilicon.doctor.check import Result
    from pytest_applesilicon.doctor.facts import Facts

#: No Mac with Apple silicon was sold with less; a hosted runner has 7 GB
#: (actions/runner-images#9254).
_LEAST_BYTES = 8 * 2**30

#: The share of the memory that may lie in swap before timings say more about the disk.
_MOST_SWAPPED = 0.25


def image_row(facts: Facts) -> Mapping[str, str] | None:
    """The row of the hosted image this runs on; ``None`` where it is none that is known."""
    image = facts.environment.get("ImageOS", "").lower()
    return next((row for row in tables.rows("images") if row["image"] == image), None)


def is_virtual(facts: Facts) -> bool:
    """Whether this Mac is a virtual machine, by sysctl or by the name of its display."""
    return bool(facts.host.virtual) or (
        re.search(r"Apple Paravirtual device", facts.text("system_profiler")) is not None
    )


def _failing(facts: Facts) -> Result:
    row = image_row(facts)
    if row and row["severity"] == "fail":
        return problem(f"{row['found']} ({row['source']})", row["remedy"])
    state, reason = facts.torch.get("state", "ok"), facts.torch.get("reason", "")
    if is_virtual(facts) and state != "ok" and facts.torch.get("available") == "True":
        return problem(
            f"the virtual GPU of this Mac is {state}: {reason}",
            "use a physical Mac; on GitHub, runs-on: macos-15",
        )
    return fine("nothing that is known to fail")


def _virtual(facts: Facts) -> Result:
    row = image_row(facts)
    if _failing(facts).remedy:
        return fine("reported by runner.image")
    if row and row["severity"] == "warn":
        return problem(f"{row['found']} ({row['source']})", row["remedy"])
    if row:
        return fine(f"{row['found']} ({row['source']})")
    if is_virtual(facts):
        return problem(
            "this Mac is a virtual machine: its GPU is paravirtual, and MPS on it is not supported "
            "by Apple",
            "use a physical Mac where results or timings count",
        )
    return fine("a physical Mac" if facts.host.virtual is False else "not known to be virtual")


def _memory(facts: Facts) -> Result:
    size = facts.host.memory_bytes
    if size is None:
        return fine("the memory is not known")
    row = image_row(facts)
    if size < _LEAST_BYTES and not row and not is_virtual(facts):
        return problem(
            f"{size / 2**30:.1f} GB of memory: less than any Mac with Apple silicon has",
            "run the suites with --size=quick, one worker at a time",
        )
    match = re.search(r"vm\.swapusage:.*?used\s*=\s*([\d.]+)M", facts.text("sysctl"))
    used = float(match[1]) * 2**20 if match else 0.0
    if used > _MOST_SWAPPED * size:
        return problem(
            f"{used / 2**30:.1f} GB of swap is in use with {size / 2**30:.0f} GB of memory: "
            "timings measure the disk",
            "close other programs, or restart the Mac",
        )
    return fine(f"{size / 2**30:.0f} GB of memory")


CHECKS = (
    Check(
        "runner.image",
        "MPS works on this hosted or virtual machine",
        ("macOS",),
        "fail",
        "https://github.com/actions/runner-images/issues/9918",
        _failing,
    ),
    Check(
        "runner.virtual",
        "the GPU is a physical one",
        ("macOS",),
        "warn",
        "https://docs.github.com/en/actions/reference/runners/github-hosted-runners",
        _virtual,
    ),
    Check(
        "runner.memory",
        "there is memory to measure in",
        ("macOS",),
        "warn",
        "https://github.com/actions/runner-images/issues/9254",
        _memory,
    ),
)
