"""How often do budgets cry wolf, and how often do they sleep, on this machine?

Pairs of processes, each with ten workloads: the first leaves a baseline, the second runs the
same work (every "exceeded" is a false alarm), the third does 20 % more work (every one that is
not called is missed). The same measurements go through pytest-benchmark's own rule,
``--benchmark-compare-fail=median:10%``.

    OMP_NUM_THREADS=1 python benchmarks/gate.py             # 30 pairs, under 40 minutes
    OMP_NUM_THREADS=1 python benchmarks/gate.py --short     # 3 pairs of 3 workloads, for CI
    python benchmarks/gate.py --from trials.jsonl           # print the table of a run again

A few pairs on a machine that others use show neither a share of 1 % nor a change of 20 %: two
processes that did the same were further apart than that there. The short form asks for what
must hold on any machine: 2.5 times the work is called at a limit of 50 %, equal work is not.

Workloads of one process share its luck (memory layout, neighbours), so the upper bound comes
from resampling whole pairs of processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent

#: Required: of the comparisons of equal work at most this share is called, of slower work at
#: least this one.
MOST_FALSE = 0.01
LEAST_FOUND = 0.95


@dataclass(frozen=True)
class Form:
    """What is compared, and how much of it."""

    pairs: int
    workloads: tuple[str, ...]
    """All where empty."""
    limit: float
    """``max_regression`` of the budget, and the change that pytest-benchmark's rule allows."""
    units: dict[str, int]
    """Of work in a call, by kind of work; the baseline does as many as ``same``."""
    spare: int
    """How many false alarms, and how many misses, are forgiven beyond the shares."""


#: The kinds of work, in the order in which they are run.
WORK = ("same", "slower")

LONG = Form(30, (), 0.10, {"same": 10, "slower": 12}, spare=0)
#: The limit lies in the middle of the two, as a ratio.
SHORT = Form(3, ("matmul", "small_operators", "python"), 0.50, {"same": 10, "slower": 25}, spare=1)


@dataclass(frozen=True)
class Trial:
    """One comparison of one workload with its baseline."""

    pair: int
    work: str
    """``same`` or ``slower``."""
    workload: str
    state: str
    """Our verdict."""
    value: float
    """The change we found, as a fraction."""
    compare_fail: bool
    """Whether pytest-benchmark's rule calls it."""
    median_change: float
    """The change of pytest-benchmark's median."""


def run(folder: Path, units: int, seconds: float, names: Sequence[str], *extra: str) -> None:
    """One process: the workloads under pytest, with the baseline in ``folder``."""
    command = [sys.executable, "-m", "pytest", str(HERE / "gate_workloads.py"), "-q"]
    command += [
        "--device=cpu",
        "--framework=torch",
        "-p",
        "no:cacheprovider",
        f"--rootdir={folder}",
    ]
    command += [f"--budgets-file={folder / 'budgets.toml'}", f"--budgets-baseline={folder / 'b'}"]
    command += [f"--benchmark-max-time={seconds}", "-c", str(folder / "pytest.ini"), *extra]
    if names:
        command += ["-k", " or ".join(f"cpu-{name}" for name in names)]
    done = subprocess.run(
        command,
        check=False,
        env={**os.environ, "GATE_UNITS": str(units), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        cwd=folder,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")


def pair_of(number: int, seconds: float, form: Form) -> list[Trial]:
    """The trials of one pair: a baseline, and two processes held against it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        budget = f'[[budget]]\ntest = "*test_workload*"\nmax_regression = {form.limit}\n'
        (folder / "budgets.toml").write_text(budget, encoding="utf-8")
        first = f"--benchmark-json={folder / 'first.json'}"
        accept = ("--budgets-accept=gate", first)
        run(folder, form.units["same"], seconds, form.workloads, *accept)
        before = json.loads((folder / "first.json").read_text(encoding="utf-8"))
        trials = []
        for work, units in form.units.items():
            report, theirs = folder / f"{work}.json", folder / f"{work}-theirs.json"
            outputs = (f"--applesilicon-report={report}", f"--benchmark-json={theirs}")
            run(folder, units, seconds, form.workloads, *outputs)
            now = json.loads(theirs.read_text(encoding="utf-8"))
            ours = json.loads(report.read_text(encoding="utf-8"))
            trials += trials_of(number, work, ours, before, now, form.limit)
    return trials


def trials_of(
    number: int, work: str, ours: Any, before: Any, now: Any, limit: float
) -> list[Trial]:
    """The trials of one process, from our report and pytest-benchmark's two files."""
    from pytest_benchmark.utils import PercentageRegressionCheck

    rule = PercentageRegressionCheck("median", limit * 100)
    old = {one["name"]: one["stats"] for one in before["benchmarks"]}
    new = {one["name"]: one["stats"] for one in now["benchmarks"]}
    trials = []
    for record in ours["records"]:
        (verdict,) = record["verdicts"]
        if verdict["state"] == "not-enforced":
            raise SystemExit(f"{record['test_id']}: not enforced: {verdict['reason']}")
        name = record["test_id"].rpartition("::")[2]
        change = new[name]["median"] / old[name]["median"] - 1
        trials.append(
            Trial(
                number,
                work,
                name.partition("cpu-")[2].rstrip("]"),
                verdict["state"],
                float(verdict["value"]) if verdict["value"] is not None else float("nan"),
                bool(rule.fails(new[name], old[name])),
                change,
            )
        )
    return trials


def upper_bound(calls: dict[int, list[bool]], *, resamples: int = 9999) -> float:
    """Upper 95 % bound of the share of calls, by bootstrap over pairs.

    Where no pair has any, the rule of three: 0 of n independent pairs are at most 3 / n of
    them, with one workload each.
    """
    import numpy as np

    rows = [sum(found) for found in calls.values()]
    sizes = [len(found) for found in calls.values()]
    if not any(rows):
        return min(1.0, 3 / len(rows) / (sum(sizes) / len(sizes)))
    draw = np.random.default_rng(0).integers(len(rows), size=(resamples, len(rows)))
    shares = np.asarray(rows)[draw].sum(axis=1) / np.asarray(sizes)[draw].sum(axis=1)
    return float(np.quantile(shares, 0.95))


def lower_bound(calls: dict[int, list[bool]]) -> float:
    """Lower 95 % bound of the share of calls: what is not called, the other way round."""
    return 1 - upper_bound({pair: [not one for one in found] for pair, found in calls.items()})


def by_pair(trials: Sequence[Trial], work: str, *, theirs: bool) -> dict[int, list[bool]]:
    """Whether each comparison was called, by pair of processes."""
    found: dict[int, list[bool]] = {}
    for one in trials:
        if one.work == work:
            called = one.compare_fail if theirs else one.state == "exceeded"
            found.setdefault(one.pair, []).append(called)
    return found


def table(trials: Sequence[Trial], form: Form) -> list[str]:
    """False alarms and finds of both rules, by workload and in all."""
    more = form.units["slower"] / form.units["same"] - 1
    found = f"found, of {100 * more:.0f} % more work"
    names = list(dict.fromkeys(one.workload for one in trials))
    lines = [
        f"{'':<18}{'false alarms, of equal work':>30}{found:>30}",
        f"{'workload':<18}{'budget':>15}{'compare-fail':>15}{'budget':>15}{'compare-fail':>15}",
    ]
    for name in [*names, "all"]:
        chosen = [one for one in trials if name in (one.workload, "all")]
        cells = [
            _share(by_pair(chosen, work, theirs=theirs))
            for work in WORK
            for theirs in (False, True)
        ]
        lines.append(f"{name:<18}" + "".join(f"{cell:>15}" for cell in cells))
    for work in WORK:
        states = [one.state for one in trials if one.work == work]
        count = {state: states.count(state) for state in dict.fromkeys(states)}
        lines.append(
            f"{work}: " + ", ".join(f"{number} {state}" for state, number in count.items())
        )
    same, slower = (by_pair(trials, work, theirs=False) for work in WORK)
    theirs_same, theirs_slower = (by_pair(trials, work, theirs=True) for work in WORK)
    lines += [
        "95 % bounds, resampled by pair of processes:",
        _bounds("false alarms at most", upper_bound(same), upper_bound(theirs_same)),
        _bounds("found at least", lower_bound(slower), lower_bound(theirs_slower)),
    ]
    return lines


def _bounds(what: str, ours: float, theirs: float) -> str:
    return f"  {what:<22}{ours:6.1%} (compare-fail {theirs:.1%})"


def _share(calls: dict[int, list[bool]]) -> str:
    flat = [one for found in calls.values() for one in found]
    return f"{sum(flat)}/{len(flat)} {sum(flat) / max(1, len(flat)):4.0%}"


def good_enough(trials: Sequence[Trial], spare: int = 0) -> bool:
    """Whether the shares of this run are what is required.

    Args:
        trials: of both kinds of work.
        spare: how many more of each may be wrong: a short form shows little by shares.
    """
    same, slower = (
        [one for found in by_pair(trials, work, theirs=False).values() for one in found]
        for work in WORK
    )
    few_false = sum(same) - spare <= MOST_FALSE * len(same)
    return few_false and sum(slower) + spare >= LEAST_FOUND * len(slower)


def main() -> int:
    """Run the pairs, or read them; print the table; 1 where it is not good enough."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, help=f"{LONG.pairs} where not given")
    parser.add_argument("--seconds", type=float, default=0.4, help="for each workload")
    parser.add_argument("--workloads", default="", help="names with commas; all where empty")
    parser.add_argument("--short", action="store_true", help=f"{SHORT.pairs} pairs of 3 workloads")
    parser.add_argument("--most-minutes", type=float, default=40.0)
    parser.add_argument("--trials", type=Path, help="write every trial here, a line each")
    parser.add_argument("--from", dest="given", type=Path, help="read trials, run nothing")
    options = parser.parse_args()
    form = SHORT if options.short else LONG
    if options.given:
        lines = options.given.read_text(encoding="utf-8").splitlines()
        trials = [Trial(**json.loads(line)) for line in lines]
    else:
        chosen = tuple(filter(None, options.workloads.split(",")))
        form = replace(form, pairs=options.pairs or form.pairs, workloads=chosen or form.workloads)
        trials = measured(form, options.seconds, options.most_minutes, options.trials)
    print("\n".join(table(trials, form)))
    return 0 if good_enough(trials, form.spare) else 1


def measured(form: Form, seconds: float, most_minutes: float, keep: Path | None) -> list[Trial]:
    """The trials of all pairs, or of those that the time is enough for; kept as they come."""
    began = time.monotonic()
    trials: list[Trial] = []
    for number in range(form.pairs):
        trials += pair_of(number, seconds, form)
        minutes = (time.monotonic() - began) / 60
        at = f"pair {number + 1} of {form.pairs}, {minutes:.1f} minutes"
        print(at, file=sys.stderr, flush=True)
        if keep:
            text = "".join(json.dumps(asdict(one)) + "\n" for one in trials)
            keep.write_text(text, encoding="utf-8")
        if minutes * (number + 2) / (number + 1) > most_minutes:
            print(f"stopped after {number + 1} pairs: the time is over", file=sys.stderr)
            break
    return trials


if __name__ == "__main__":
    sys.exit(main())
