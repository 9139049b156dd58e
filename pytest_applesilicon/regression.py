"""Is a test slower than its baseline, on a machine that does other things too?

Compared is the time of the undisturbed rounds: what waits for a CPU is taken off where the
system tells it, and of the rest a low quantile is taken, for other processes only ever add.
The drift of the machine is read from the reference workloads that ran beside every round.
Rounds next to one another are alike, so the interval comes from resampling blocks of them.
Pure; NumPy and SciPy are imported inside functions.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.frameworks.reference import KINDS
from pytest_applesilicon.verdicts import Change, of_regression

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_applesilicon.budgets import Budget
    from pytest_applesilicon.records import Verdict
    from pytest_applesilicon.timing import Round

#: A part of a measurement: seconds of a call, then those of each kind of reference.
Block = tuple[float, ...]

#: Parts of one measurement: enough to resample, and each long against one disturbance.
_BLOCKS = 12

#: The quantile of the rounds of a block, and of the blocks: the calm tenth of the time. Between
#: processes that did the same on two CPUs shared with a load of 5 to 9, one measurement of 0.3 s
#: was more than 10 % slower than another in 8 % of the pairs with the quantile 0.25 of the
#: blocks, in 5 % with 0.1; the median of the rounds moved by as much in 42 %.
_OF_ROUNDS = 0.1
_OF_BLOCKS = 0.1

#: What a reference may move by itself from process to process (measured there: 1 to 4 %);
#: only what is beyond it is a drift of the machine.
_REFERENCE_SPREAD = math.log(1.03)

#: Standard deviation of a workload's time between processes, which rounds of one process do
#: not show (measured there: 0.2 to 2 % for nine workloads of ten).
_PROCESS_SPREAD = 0.01

_RESAMPLES = 1999
_CONFIDENCE = 0.95
_NORMAL_QUANTILE = 1.96

#: Measurements in all, before a change that is not clear is called inconclusive.
_MEASUREMENTS = 3


def blocks(rounds: Sequence[Round], iterations: int) -> tuple[Block, ...]:
    """The measurement in up to twelve parts; empty without a reference.

    Args:
        rounds: in the order of time.
        iterations: calls in each round.
    """
    # A clock that is coarser than the work may leave nothing.
    good = [
        one
        for one in rounds
        if one.reference_s and min(one.seconds - one.waited_s, *one.reference_s) > 0
    ]
    calm = [one for one in good if not one.interrupted or one.waited_s]
    # Where waits are not told, a round from which a CPU was taken is left out, while enough stay.
    kept = calm if len(calm) >= max(_BLOCKS, len(good) // 4) else good
    if not kept:
        return ()
    size = max(1, math.ceil(len(kept) / _BLOCKS))
    parts = [kept[at : at + size] for at in range(0, len(kept), size)]
    return tuple(_block(part, iterations) for part in parts)


def _block(part: Sequence[Round], iterations: int) -> Block:
    call_s = quantile([(one.seconds - one.waited_s) / iterations for one in part], _OF_ROUNDS)
    references = zip(*(one.reference_s for one in part), strict=True)
    return (call_s, *(quantile(list(kind), _OF_ROUNDS) for kind in references))


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile by linear interpolation; ``share`` from 0 to 1."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def interval_of_median(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % interval of the median of rounds in the order of time, by ranks of block medians.

    Order statistics with the normal approximation of the binomial (Conover, Practical
    Nonparametric Statistics, section 3.2). ``None`` of fewer than five values.
    """
    size = max(1, len(values) // (2 * _BLOCKS))
    medians = sorted(
        statistics.median(values[at : at + size]) for at in range(0, len(values) - size + 1, size)
    )
    count = len(medians)
    if count < 5:
        return None, None
    margin = _NORMAL_QUANTILE * math.sqrt(count) / 2
    low = max(0, math.floor(count / 2 - margin))
    return medians[low], medians[count - 1 - low]


def drift(then: Sequence[Block], now: Sequence[Block], kind: str) -> float:
    """The logarithm of how much slower the reference became, beyond its own spread.

    Args:
        then: blocks of the baseline.
        now: blocks of this run.
        kind: of the reference; ``auto`` takes what arithmetic and calls have in common, for
            the reference of memory shows what neighbours do more than what the machine does.
    """
    moved = [
        math.log(quantile([one[at] for one in now], _OF_BLOCKS))
        - math.log(quantile([one[at] for one in then], _OF_BLOCKS))
        for at in range(1, 1 + len(KINDS))
    ]
    if kind == "auto":
        both = (moved[KINDS.index("compute")], moved[KINDS.index("dispatch")])
        found = statistics.median((0.0, *both))
    else:
        found = moved[KINDS.index(kind)]
    return math.copysign(max(0.0, abs(found) - _REFERENCE_SPREAD), found)


def compare(then: Sequence[Block], now: Sequence[Block], kind: str = "auto") -> Change:
    """The change from the baseline to now, with its 95 % interval by bootstrap over blocks."""
    import numpy as np
    from scipy import stats

    moved = drift(then, now, kind)
    old, new = (np.log([one[0] for one in part]) for part in (then, now))

    def change(new: Any, old: Any, axis: int = -1) -> Any:
        return np.quantile(new, _OF_BLOCKS, axis=axis) - np.quantile(old, _OF_BLOCKS, axis=axis)

    value = float(change(new, old)) - moved
    low = high = value
    if min(len(new), len(old)) > 1:
        found = stats.bootstrap(
            (new, old),
            change,
            n_resamples=_RESAMPLES,
            confidence_level=_CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        low = min(value, float(found.low) - moved)
        high = max(value, float(found.high) - moved)
    between = _NORMAL_QUANTILE * _PROCESS_SPREAD * math.sqrt(2)
    return Change(
        math.expm1(value),
        math.expm1(value - math.hypot(value - low, between)),
        math.expm1(value + math.hypot(high - value, between)),
        math.expm1(moved),
    )


def judge(
    budget: Budget,
    then: Sequence[Block],
    now: Sequence[Block],
    again: Callable[[], Sequence[Block]],
) -> Verdict:
    """The verdict of ``max_regression``: exceeded only where a second measurement confirms it.

    Args:
        budget: with the limit and the kind of the reference.
        then: blocks of the baseline.
        now: blocks of this run.
        again: measures once more.
    """
    limit = budget.max_regression or 0.0
    first = compare(then, now, budget.reference)
    verdict = of_regression(budget, first, _drifted(first))
    measured, later = list(now), first
    for _ in range(_MEASUREMENTS - 1):
        if verdict.state == "met":
            return verdict
        more = again()
        later = compare(then, more, budget.reference)
        measured += more
        both = compare(then, measured, budget.reference)
        verdict = of_regression(budget, both, _drifted(both))
        if verdict.state == "exceeded" and later.value > limit:
            note = f"confirmed by a second measurement: {later.value:+.1%}"
            return dataclasses.replace(verdict, reason=_joined(note, verdict.reason))
    if verdict.state != "exceeded":
        return verdict
    note = f"a second measurement does not confirm it: {later.value:+.1%}"
    return dataclasses.replace(verdict, state="inconclusive", reason=_joined(note, verdict.reason))


def _drifted(change: Change) -> str:
    return f"the reference drifted by {change.drift:+.1%}" if change.drift else ""


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
