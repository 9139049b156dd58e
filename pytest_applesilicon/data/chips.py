"""What Apple's GPUs can do at most, by chip and number of GPU cores, as ``chips.tsv`` has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_applesilicon import tables

if TYPE_CHECKING:
    from pytest_applesilicon.records import Host


@dataclass(frozen=True)
class Peak:
    """The limits of one chip; the sources disagree on some."""

    tflops_low: float
    """float32, the lowest of the sources."""
    tflops_high: float
    """float32, the highest of the sources."""
    bandwidth: float
    """Of memory, GB/s."""


def peak_of(host: Host) -> Peak | None:
    """The limits of the GPU of this host; ``None`` where the chip or its bin is not known.

    A virtual machine has no peak of its own: its GPU is shared.
    """
    if host.virtual or host.gpu_cores is None:
        return None
    for row in tables.rows("pytest_applesilicon.data", "chips.tsv"):
        if (row["chip"], int(row["gpu_cores"])) == (host.chip, host.gpu_cores):
            return Peak(
                float(row["tflops_low"]), float(row["tflops_high"]), float(row["bandwidth"])
            )
    return None
