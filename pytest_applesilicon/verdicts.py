"""What a budget says of a measurement: met, exceeded, inconclusive, or not-enforced and why.

A limit is met where the whole 95 % interval of the measurement keeps it, exceeded where the
whole interval breaks it, and inconclusive else. Pure; knows nothing of pytest.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_applesilicon.budgets import Budget, limit_here
from pytest_applesilicon.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_applesilicon.measured import VerdictState
    from pytest_applesilicon.records import Host, Measurement, Record, Target, Timing


@dataclass(frozen=True)
class Change:
    """A change in time as a fraction: 0.2 is 20 % slower."""

    value: float
    low: float
    high: float
    """The 95 % interval."""
    drift: float
    """Of the machine, by the reference, taken off already."""


#: The reason of a verdict that waits for another test.
PENDING = "another device is still to come"

#: Units of a rate that can be held against a measured peak, with what the peak is of.
PEAK_UNITS = {"TFLOPS": "compute", "GB/s": "memory"}


def judge_most(low: float, high: float, limit: float) -> VerdictState:
    """The state of a value that must be at most ``limit``."""
    if high <= limit:
        return "met"
    return "exceeded" if low > limit else "inconclusive"


def judge_least(low: float, high: float, limit: float) -> VerdictState:
    """The state of a value that must be at least ``limit``."""
    if low >= limit:
        return "met"
    return "exceeded" if high < limit else "inconclusive"


def not_enforced(budget: Budget, name: str, reason: str) -> Verdict:
    """The verdict where nothing was or can be measured."""
    return Verdict(name, "not-enforced", budget.where, reason=reason)


def nowhere_enforced(target: Target, host: Host, *, enabled: bool, distributed: bool) -> str:
    """Why nothing that is timed here can be held against a limit; empty where it can."""
    if distributed:
        return "xdist: tests that run beside others are not timed"
    if not enabled:
        return "benchmarks are disabled"
    if target.health.simulated:
        return "the device is simulated"
    if host.virtual and target.device == "mps":
        return "the GPU is virtual"
    return ""


def of_median(budget: Budget, timing: Timing, host: Host) -> Verdict:
    """The verdict of ``max_median_ms``."""
    limit = limit_here(budget.max_median_ms or {}, host)
    if limit is None:
        return not_enforced(budget, "max_median_ms", _no_entry(host))
    if timing.low_s is None or timing.high_s is None:
        return _too_few(budget, "max_median_ms", limit, timing.median_s * 1e3, "ms")
    low, high = timing.low_s * 1e3, timing.high_s * 1e3
    return Verdict(
        "max_median_ms",
        judge_most(low, high, limit),
        budget.where,
        limit,
        timing.median_s * 1e3,
        low,
        high,
        "ms",
    )


def of_memory(budget: Budget, timing: Timing, host: Host) -> Verdict:
    """The verdict of ``max_peak_mb``: the device's allocator where it tells, else the process."""
    name = "max_peak_mb"
    limit = limit_here(budget.max_peak_mb or {}, host)
    if limit is None:
        return not_enforced(budget, name, _no_entry(host))
    on_device = timing.device_peak_bytes is not None
    found = timing.device_peak_bytes if on_device else timing.process_peak_bytes
    if found is None:
        return not_enforced(budget, name, "neither the device nor the system tells a peak")
    value = found / 1e6
    state = judge_most(value, value, limit)
    of = "of the device" if on_device else "of the process"
    return Verdict(name, state, budget.where, limit, value, value, value, "MB", of)


def of_fraction(
    budget: Budget, timing: Timing, measured: Iterable[Measurement], peak: dict[str, float]
) -> Verdict:
    """The verdict of ``min_fraction_of_peak``: the test's rate against what the device can do.

    Args:
        budget: with the limit.
        timing: of the test, for the interval.
        measured: the test's figures, of which the first in TFLOPS or GB/s counts.
        peak: the measured peak by unit.
    """
    name = "min_fraction_of_peak"
    limit = budget.min_fraction_of_peak or 0.0
    rate = next((one for one in measured if one.unit in PEAK_UNITS), None)
    if rate is None:
        reason = "the test leaves no rate: applesilicon.measure(name, value, 'TFLOPS' or 'GB/s')"
        return not_enforced(budget, name, reason)
    if timing.low_s is None or timing.high_s is None:
        return _too_few(budget, name, limit, rate.value / peak[rate.unit], "of peak")
    value = rate.value / peak[rate.unit]
    low, high = value * timing.median_s / timing.high_s, value * timing.median_s / timing.low_s
    reason = f"peak {peak[rate.unit]:.3g} {rate.unit}"
    state = judge_least(low, high, limit)
    return Verdict(name, state, budget.where, limit, value, low, high, "of peak", reason)


def of_regression(budget: Budget, change: Change, note: str = "") -> Verdict:
    """The verdict of ``max_regression``."""
    limit = budget.max_regression or 0.0
    return Verdict(
        "max_regression",
        judge_most(change.low, change.high, limit),
        budget.where,
        limit,
        change.value,
        change.low,
        change.high,
        "slower",
        note,
    )


def pending(budget: Budget) -> Verdict:
    """The verdict of ``min_speedup_vs`` until the other device's result is there."""
    return Verdict(
        "min_speedup_vs",
        "not-enforced",
        budget.where,
        budget.min_speedup,
        unit=budget.min_speedup_vs or "",
        reason=PENDING,
    )


def completed(record: Record, records: Sequence[Record]) -> Record:
    """The record with the verdicts that need another one's timing."""
    done = tuple(
        of_speedup(
            Budget(
                one.where,
                record.test_id,
                min_speedup_vs=one.unit,
                min_speedup=one.limit or 1.0,
            ),
            record,
            records,
        )
        if one.reason == PENDING
        else one
        for one in record.verdicts
    )
    return dataclasses.replace(record, verdicts=done)


def of_speedup(budget: Budget, record: Record, records: Sequence[Record]) -> Verdict:
    """The verdict of ``min_speedup_vs``, from the same test on the other device."""
    name, other = "min_speedup_vs", budget.min_speedup_vs or ""
    partner = next((one for one in records if _is_partner(one, record, other)), None)
    if partner is None or partner.timing is None or partner.outcome != "passed":
        reason = f"no result on {other} in this run: --device={other},{record.device}"
        return not_enforced(budget, name, reason)
    mine, theirs = record.timing, partner.timing
    if mine is None or None in (mine.low_s, mine.high_s, theirs.low_s, theirs.high_s):
        return not_enforced(budget, name, "too few rounds for an interval")
    value = theirs.median_s / mine.median_s
    # Both intervals at their ends: wider than 95 %.
    low = (theirs.low_s or 0.0) / (mine.high_s or 1.0)
    high = (theirs.high_s or 0.0) / (mine.low_s or 1.0)
    state = judge_least(low, high, budget.min_speedup)
    unit = f"x {other}"
    return Verdict(name, state, budget.where, budget.min_speedup, value, low, high, unit)


def _is_partner(one: Record, record: Record, device: str) -> bool:
    """Whether a record is of the same test with the same parameters on another device."""
    return (
        one.device == device
        and one.framework == record.framework
        and one.place == record.place
        and _without_device(one) == _without_device(record)
    )


def _without_device(record: Record) -> str:
    path, bracket, rest = record.test_id.partition("[")
    device = re.escape(record.device or "")
    return path + bracket + re.sub(rf"(?<![^-\[]){device}(?![^-\]])", "*", rest, count=1)


def _no_entry(host: Host) -> str:
    cores = f" with {host.gpu_cores} GPU cores" if host.gpu_cores else ""
    return f"no entry for {host.chip or 'an unknown chip'}{cores}"


def _too_few(budget: Budget, name: str, limit: float, value: float, unit: str) -> Verdict:
    reason = "too few rounds for an interval"
    return Verdict(name, "inconclusive", budget.where, limit, value, unit=unit, reason=reason)
