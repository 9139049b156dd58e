"""How much longer the same benchmark took: a ratio, with the interval that the rounds allow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pytest_applesilicon.records import Timing

#: Half the width of the 95 % interval of a median, in interquartile ranges over the square root
#: of the number of rounds: McGill, Tukey and Larsen, "Variations of Box Plots" (1978).
_NOTCH = 1.57

#: With fewer rounds an interquartile range says little.
_LEAST_ROUNDS = 5

#: A smaller change is not told apart from what the machine did besides, however narrow the
#: interval: the rounds of one run share its clock speed, its temperature and its neighbours.
_LEAST_CHANGE = 0.05


@dataclass(frozen=True)
class Ratio:
    """How long one benchmark took in the second run, in units of the first."""

    name: str
    before_s: float
    after_s: float
    value: float
    low: float
    high: float
    """Ends of the interval; ``nan`` where there were too few rounds for one."""
    verdict: Literal["slower", "faster", "no difference shown", "too few rounds"]


def ratio_of(name: str, before: Timing, after: Timing) -> Ratio:
    """The ratio of the medians, and whether it is shown to be other than 1."""
    a, b = before.median_s, after.median_s
    if not (a > 0 and b > 0 and math.isfinite(a) and math.isfinite(b)):
        return Ratio(name, a, b, math.nan, math.nan, math.nan, "too few rounds")
    value = b / a
    if min(before.rounds, after.rounds) < _LEAST_ROUNDS:
        return Ratio(name, a, b, value, math.nan, math.nan, "too few rounds")
    spread = math.hypot(*(_relative(one) for one in (before, after)))
    low, high = value * math.exp(-spread), value * math.exp(spread)
    verdict: Literal["slower", "faster", "no difference shown"] = "no difference shown"
    if low > 1 and value > 1 + _LEAST_CHANGE:
        verdict = "slower"
    elif high < 1 and value < 1 - _LEAST_CHANGE:
        verdict = "faster"
    return Ratio(name, a, b, value, low, high, verdict)


def _relative(one: Timing) -> float:
    """Half the interval of a median, in units of the median; the record's own where it has one."""
    if one.low_s is not None and one.high_s is not None and 0 < one.low_s <= one.high_s:
        return math.log(one.high_s / one.low_s) / 2
    return _NOTCH * one.iqr_s / (math.sqrt(one.rounds) * one.median_s)
