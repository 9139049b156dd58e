"""What a test measured: figures, the time of a workload, and what its budgets say of them.

Standard library only; imports nothing else of the package. ``records`` has these names too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

VerdictState = Literal["met", "exceeded", "inconclusive", "not-enforced"]


@dataclass(frozen=True)
class Published:
    """A figure that somebody published of a workload, as it was printed; no budget."""

    value: str
    """As its author wrote it: a number, or a range such as ``4.6 to 7.6``."""
    unit: str
    machine: str
    device: str
    software: str = ""
    source: str = ""
    note: str = ""
    """What keeps it from being compared as it stands."""


@dataclass(frozen=True)
class Measurement:
    """One figure a test measured: an accuracy, a loss, a rate."""

    name: str
    value: float
    unit: str = ""
    published: tuple[Published, ...] = ()
    """What others published of the same workload."""


@dataclass(frozen=True)
class Timing:
    """How long one workload took, in seconds, over rounds that were really run."""

    group: str
    median_s: float
    min_s: float
    iqr_s: float
    rounds: int
    iterations: int
    """Calls per round; the times are per call."""
    mode: str = ""
    """``latency``: the device is waited for after each call; ``throughput``: after each round."""
    timer: str = ""
    """The name of the timer; empty where it was not ours."""
    sync_s: float = 0.0
    """Waiting for a device that has nothing to do."""
    first_call_s: float = 0.0
    """Of the first call, with what is compiled in it; 0 where it was not timed."""
    device_s: float | None = None
    """Median of a call by events of the device, where it has them."""
    device_peak_bytes: int | None = None
    process_peak_bytes: int | None = None
    low_s: float | None = None
    high_s: float | None = None
    """The 95 % interval of the median; ``None`` of too few rounds."""
    blocks: tuple[tuple[float, ...], ...] = ()
    """Seconds of a call in parts of the measurement, each with those of the reference
    workloads beside it (``regression.blocks``); empty where there was no reference."""


@dataclass(frozen=True)
class Verdict:
    """What one limit of one budget says of one test."""

    limit_name: str
    """As in the budget: ``max_median_ms``, ``max_regression`` ..."""
    state: VerdictState
    where: str
    """Where the budget stands: ``budgets.toml: budget[0]``, ``marker budget``."""
    limit: float | None = None
    value: float | None = None
    """What was measured, in ``unit``; ``None`` where nothing was."""
    low: float | None = None
    high: float | None = None
    """The 95 % interval of ``value``."""
    unit: str = ""
    reason: str = ""
    """Why it is not enforced, or what else is worth knowing."""


def measured_from_fields(plain: dict[str, Any]) -> dict[str, Any]:
    """Take measurements, timing and verdicts out of the fields of a record as JSON has them."""
    measurements = tuple(
        Measurement(
            one["name"],
            float(one["value"]),
            one["unit"],
            tuple(Published(**figure) for figure in one.get("published", ())),
        )
        for one in plain.pop("measurements")
    )
    timing = plain.pop("timing")
    verdicts = plain.pop("verdicts", ())
    return {
        "measurements": measurements,
        "timing": None if timing is None else _timing(timing),
        "verdicts": tuple(Verdict(**_floats(one)) for one in verdicts),
    }


def _timing(fields: dict[str, Any]) -> Timing:
    blocks = tuple(tuple(float(one) for one in block) for block in fields.get("blocks", ()))
    return Timing(**{**_floats(fields), "blocks": blocks})


def _floats(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with their numbers as floats again: JSON may have them as names."""
    names = ("limit", "value", "low", "high")
    return {
        name: float(value)
        if value is not None and (name in names or name.endswith("_s"))
        else value
        for name, value in fields.items()
    }
