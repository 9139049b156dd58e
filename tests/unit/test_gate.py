"""The programs that measure the gate and the clock: what they count, and when they are content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def gate(program):
    return program("gate")


@pytest.fixture
def fidelity(program):
    return program("fidelity")


def trials(gate, *, same=(), slower=()):
    """Trials from ``(pair, state, compare_fail)``."""
    return [
        gate.Trial(pair, work, f"w{at}", state, 0.1, theirs, 0.1)
        for work, rows in (("same", same), ("slower", slower))
        for at, (pair, state, theirs) in enumerate(rows)
    ]


def test_only_exceeded_counts_as_called(gate):
    rows = [(0, "exceeded", False), (0, "inconclusive", True), (1, "met", False)]

    found = gate.by_pair(trials(gate, same=rows), "same", theirs=False)
    theirs = gate.by_pair(trials(gate, same=rows), "same", theirs=True)

    assert found == {0: [True, False], 1: [False]}
    assert theirs == {0: [False, True], 1: [False]}


def test_bound_is_wider_where_one_process_has_all_the_alarms(gate):
    apart = {pair: [pair < 3] + [False] * 9 for pair in range(30)}
    together = {pair: [pair == 0] * 3 + [False] * 7 for pair in range(30)}

    assert gate.upper_bound(apart) == pytest.approx(0.02, abs=0.004)
    assert gate.upper_bound(together) > 1.3 * gate.upper_bound(apart)


def test_bound_of_none_is_not_zero(gate):
    # The rule of three: of 30 pairs at most 3, of 10 comparisons each.
    assert gate.upper_bound({pair: [False] * 10 for pair in range(30)}) == pytest.approx(0.01)
    assert gate.lower_bound({pair: [True] * 10 for pair in range(30)}) == pytest.approx(0.99)


def test_content_with_few_false_alarms_and_few_misses_only(gate):
    good = [(0, "exceeded", False)] * 95 + [(0, "inconclusive", False)] * 5
    calm = [(0, "met", False)] * 99 + [(0, "exceeded", False)]

    assert gate.good_enough(trials(gate, same=calm, slower=good))
    assert not gate.good_enough(trials(gate, same=[*calm, calm[-1]], slower=good))
    assert not gate.good_enough(trials(gate, same=calm, slower=[*good, good[-1]]))


def test_short_form_may_be_wrong_once(gate):
    same = [(0, "met", False)] * 8 + [(0, "exceeded", False)]
    slower = [(0, "exceeded", False)] * 8 + [(0, "met", False)]

    assert not gate.good_enough(trials(gate, same=same, slower=slower))
    assert gate.good_enough(trials(gate, same=same, slower=slower), spare=1)
    twice = [(0, "exceeded", False)] * 2
    assert not gate.good_enough(trials(gate, same=[*same, *twice], slower=slower), spare=1)


def test_table_has_both_rules_side_by_side(gate):
    rows = trials(gate, same=[(0, "met", True)], slower=[(0, "exceeded", False)])

    lines = gate.table(rows, gate.LONG)

    assert "w0                       0/1   0%       1/1 100%       1/1 100%       0/1   0%" in lines
    assert "found, of 20 % more work" in lines[0]
    assert "same: 1 met" in lines
    assert max(map(len, lines)) <= 80


def test_limit_lies_between_equal_work_and_more(gate):
    for form in (gate.LONG, gate.SHORT):
        assert 1 < 1 + form.limit < form.units["slower"] / form.units["same"]

    # What another program does to a machine is no change of the short form: the limit is as
    # far from equal work as from more of it.
    assert gate.SHORT.limit >= 0.5
    assert gate.SHORT.units["slower"] / gate.SHORT.units["same"] >= (1 + gate.SHORT.limit) * 1.5


@pytest.mark.parametrize("short", [True, False])
def test_forms_are_held_against_their_own_limit(gate, monkeypatch, capsys, short):
    seen = []

    def run(folder, units, seconds, names, *extra):
        seen.append((units, names, (folder / "budgets.toml").read_text(encoding="utf-8")))
        report = {"records": [record("met" if units == 10 else "exceeded")]}
        for one in extra:
            _, _, path = one.partition("=")
            if path.endswith(".json"):
                ours = "theirs" not in path and "first" not in path
                content = report if ours else {"benchmarks": [stats(units)]}
                Path(path).write_text(json.dumps(content), encoding="utf-8")

    monkeypatch.setattr(gate, "run", run)
    monkeypatch.setattr("sys.argv", ["gate.py", "--pairs=2", *["--short"] * short])

    assert gate.main() == 0

    form = gate.SHORT if short else gate.LONG
    assert [units for units, _, _ in seen] == [10, 10, form.units["slower"]] * 2
    assert {names for _, names, _ in seen} == {form.workloads}
    assert all(f"max_regression = {form.limit}\n" in budget for _, _, budget in seen)
    assert "all                      0/2   0%       0/2   0%       2/2 100%" in (
        capsys.readouterr().out
    )


def stats(median):
    return {"name": "test_workload[cpu-sort]", "stats": {"median": median}}


def record(state, value=0.12, reason=""):
    verdict = {"state": state, "value": value, "reason": reason}
    return {"test_id": "g.py::test_workload[cpu-sort]", "verdicts": [verdict]}


@pytest.mark.parametrize(("median", "called"), [(1.09, False), (1.11, True)])
def test_rule_of_pytest_benchmark_is_its_own(gate, median, called):
    (trial,) = gate.trials_of(
        3,
        "same",
        {"records": [record("met")]},
        {"benchmarks": [stats(1.0)]},
        {"benchmarks": [stats(median)]},
        0.10,
    )

    assert (trial.pair, trial.workload, trial.state) == (3, "sort", "met")
    assert trial.compare_fail is called
    assert trial.median_change == pytest.approx(median - 1)


def test_what_was_not_enforced_is_no_trial(gate):
    ours = {"records": [record("not-enforced", None, "the test did not pass")]}

    with pytest.raises(SystemExit, match="not enforced: the test did not pass"):
        gate.trials_of(0, "same", ours, {"benchmarks": []}, {"benchmarks": []}, 0.10)


# fidelity


def pairs(kind, **figures):
    names = {"theirs_again": "theirs again"}
    plain = {names.get(name, name): value for name, value in figures.items()}
    return [{"kind": kind, "workload": "w", "pair": at, **plain} for at in range(12)]


@pytest.mark.parametrize(
    ("ours", "good"), [(1.02, True), (0.98, True), (1.04, False), (0.9, False)]
)
def test_median_must_be_within_3_percent(fidelity, ours, good):
    lines, found = fidelity.medians(pairs("median", ours=ours, theirs=1.0, theirs_again=1.01))

    assert found is good
    assert lines[1].split()[1:] == [f"{ours - 1:+.1%}", "+1.0%", "12"]


@pytest.mark.parametrize(("ours", "good"), [(1.0, True), (1.02, True), (1.04, False)])
def test_best_must_be_97_percent_of_the_bare_loop(fidelity, ours, good):
    lines, found = fidelity.bests(pairs("best", ours=ours, theirs=1.0, theirs_again=1.0))

    assert found is good
    assert lines[1].split()[-3:] == [f"{1 / ours:.3f}", "1.000", "12"]
