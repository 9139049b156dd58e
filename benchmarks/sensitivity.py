"""How many planted errors the judge of operators notices, and torch's default tolerances.

A pair is an operator and a fault. It counts where the fault has an effect on one of the
operator's samples (``planted.effect``, which knows nothing of the allowed error), and is caught
where the judge finds a sample of those wrong. A sample whose right result the judge refuses
does not count, and is listed.

    python benchmarks/sensitivity.py [--samples 3|all] [--ops REGEX] [--seed 0] [--limit 0.99]
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import planted
import torch
from planted import Fault, Given

from pytest_applesilicon import opinfo
from pytest_applesilicon.agreement.directions import dtypes_of

if TYPE_CHECKING:
    from pytest_applesilicon.opinfo import Operator, Sample

#: Why a pair does not count, from the reason that tells most. One may hold for one sample and
#: another for the next.
EXCLUDED = (
    "the judge refuses the right result",
    "values are random or undefined, and only they differ",
    "the change is within the limit",
    "the wrong device raises an error",
    "nothing for the fault to act on",
    "the host raises an error",
    "the host crashes or needs gigabytes for inputs that would show it",
    "no sample in this direction and dtype",
)
FALSE_ALARM, NO_VALUES, SMALL, RAISES, NOT_REACHED, REFUSED, LEFT_OUT, NO_SAMPLE = EXCLUDED


@dataclass
class Pair:
    """What became of the samples of an operator under a fault."""

    operator: str
    fault: str
    effective: int = 0
    effects: Counter[str] = field(default_factory=Counter)
    caught: bool = False
    torch_caught: bool = False
    judge_raised: str = ""
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def excluded(self) -> str:
        """Why it does not count; empty where it does."""
        return "" if self.effective else next(filter(self.reasons.get, EXCLUDED), NO_SAMPLE)


def pair_of(operator: Operator, fault: Fault, seed: int, count: int | None) -> Pair:
    """The operator under the fault, until both judges have noticed it."""
    pair = Pair(operator.name, fault.name)
    if fault.dtype not in dtypes_of(operator, fault.direction):
        return pair
    if operator.name in fault.left_out:
        pair.reasons[LEFT_OUT] += 1
        return pair
    wanted = None if fault.all_samples else count
    for sample in operator.samples(fault.dtype, seed=seed, count=wanted):
        if fault.direction == "inplace" and sample.broadcasts:
            continue
        reason = try_sample(pair, operator, fault, sample)
        if reason:
            pair.reasons[reason] += 1
        if pair.caught and pair.torch_caught:
            break
    return pair


def try_sample(pair: Pair, operator: Operator, fault: Fault, sample: Sample) -> str:
    """Note in ``pair`` what becomes of one sample; why it does not count, or empty."""
    try:
        run = Given(
            operator,
            planted.prepared(sample, fault),
            fault.dtype,
            torch.device("cpu"),
            fault.direction,
        )
        right = run.right()
    except Exception:  # torch refuses some operators the prepared inputs
        return REFUSED
    try:
        wrong = run.wrong(fault.compute)
    except planted.NotReached:
        return NOT_REACHED
    except Exception:  # any error is noticed by anyone: nothing is computed wrongly
        return RAISES
    return note(pair, run, right, wrong)


def note(pair: Pair, run: Given, right: object, wrong: object) -> str:
    """Judge a wrong result; why the sample does not count, or empty."""
    effect = planted.effect(right, wrong, planted.limit_of(run.operator.category))
    if not effect:
        return SMALL
    undefined = run.operator.kind_of(run.sample) in ("random", "metadata")
    if effect == "values" and undefined:
        return NO_VALUES
    if not undefined and found_wrong(pair, run, right):
        return FALSE_ALARM
    pair.effective += 1
    pair.effects[effect] += 1
    pair.caught = pair.caught or found_wrong(pair, run, wrong)
    pair.torch_caught = pair.torch_caught or planted.torch_notices(right, wrong)
    return ""


def found_wrong(pair: Pair, run: Given, result: object) -> bool:
    """Whether the judge finds this result of the sample wrong; not so where it raises an error."""
    about = run.operator
    given = Given(about, run.sample, run.dtype, run.device, run.direction, result)
    try:
        return given.found().outcome == "wrong"
    except Exception as error:  # an error of the judge is told, and catches nothing
        pair.judge_raised = f"{type(error).__name__}: {error}"
        return False


def all_pairs(pattern: str, seed: int, count: int | None) -> list[Pair]:
    """Every operator under every fault; progress goes to stderr."""
    chosen = [one for one in opinfo.operators() if re.search(pattern, one.name)]
    started = time.perf_counter()
    found: list[Pair] = []
    for number, operator in enumerate(chosen, 1):
        found += [
            pair_of(operator, fault, seed, count)
            for fault in planted.FAULTS
            if not fault.only or operator.name in fault.only
        ]
        if number % 25 == 0 or number == len(chosen):
            seconds = time.perf_counter() - started
            print(f"{number}/{len(chosen)} operators, {seconds:.0f} s", file=sys.stderr)
    return found


def print_table(pairs: list[Pair]) -> float:
    """Print a row for each fault and one for all; the share of all that is caught."""
    print(f"{'fault':<28} {'effective':>9} {'caught':>7} {'share':>8} {'torch':>7} {'share':>8}")
    for name in [*(fault.name for fault in planted.FAULTS), "all"]:
        rows = [pair for pair in pairs if pair.effective and name in (pair.fault, "all")]
        print(f"{name:<28} {len(rows):>9}", end="")
        for caught in (sum(p.caught for p in rows), sum(p.torch_caught for p in rows)):
            print(f" {caught:>7} {share(caught, len(rows)):>8.2%}", end="")
        print()
    effective = [pair for pair in pairs if pair.effective]
    return share(sum(pair.caught for pair in effective), len(effective))


def share(part: int, whole: int) -> float:
    """The part of the whole; of nothing, nothing is missing."""
    return part / whole if whole else 1.0


def print_lists(pairs: list[Pair]) -> None:
    """Print the pairs that escape, and how many do not count and why."""
    print("\nescaped: effective samples, what differs")
    for pair in pairs:
        if pair.effective and not pair.caught:
            differs = ", ".join(pair.effects)
            other = "torch's tolerances notice" if pair.torch_caught else "nor does torch notice"
            raised = f"; the judge raised {pair.judge_raised}" if pair.judge_raised else ""
            print(f"  {pair.fault}: {pair.operator} ({pair.effective}, {differs}; {other}{raised})")
    print("\nexcluded pairs")
    for fault in planted.FAULTS:
        counts = Counter(p.excluded for p in pairs if p.fault == fault.name and p.excluded)
        for reason in filter(counts.get, EXCLUDED):
            print(f"  {fault.name}: {counts[reason]}: {reason}")
    print("\nright results that the judge refuses")
    for pair in pairs:
        if pair.reasons[FALSE_ALARM]:
            print(f"  {pair.fault}: {pair.operator} ({pair.reasons[FALSE_ALARM]} samples)")


def main() -> int:
    """Print the table and the lists; exit status 1 where fewer are caught than the limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--samples", default="3", help="per operator, or all")
    parser.add_argument("--ops", default="", help="operators whose name the expression finds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=0.99)
    given = parser.parse_args()
    torch.set_num_threads(1)
    count = None if given.samples == "all" else int(given.samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = all_pairs(given.ops, given.seed, count)
    caught = print_table(pairs)
    print_lists(pairs)
    return int(caught < given.limit)


if __name__ == "__main__":
    sys.exit(main())
