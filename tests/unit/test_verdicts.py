"""What a budget says of a measurement: every state of every limit, and what is never enforced."""

from __future__ import annotations

import pytest

from pytest_applesilicon import budgets, verdicts
from pytest_applesilicon.records import Health, Host, Measurement, Record, Target, Timing
from pytest_applesilicon.reports import budgets as lines_of_budgets
from pytest_applesilicon.reports import waits
from pytest_applesilicon.verdicts import Change

M1_PRO = Host("macOS", chip="Apple M1 Pro", gpu_cores=16, virtual=False)


def budget(**fields):
    return budgets.make("marker budget", "t", M1_PRO, fields)


def timing(median_ms=1.0, spread=0.05, **facts):
    seconds = median_ms / 1e3
    return Timing(
        "", seconds, seconds, 0.0, 10, 1, low_s=seconds * (1 - spread),
        high_s=seconds * (1 + spread), **facts,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "state"), [(1.06, "met"), (1.0, "inconclusive"), (0.94, "exceeded")]
)
def test_median(limit, state):
    found = verdicts.of_median(budget(max_median_ms=limit), timing(), M1_PRO)

    assert (found.state, found.limit, found.unit) == (state, limit, "ms")
    assert (found.low, found.value, found.high) == pytest.approx((0.95, 1.0, 1.05))


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        ({"Apple M1 Pro": 7, "Apple M1 Pro/16": 5, "Apple M1/8": 9}, 5),
        ({"Apple M1 Pro": 7, "Apple M1 Pro/14": 5}, 7),
        ({"Apple M1/8": 9}, None),
        (3, 3),
    ],
)
def test_limit_is_that_of_the_chip_and_its_gpu_cores(limits, limit):
    found = verdicts.of_median(budget(max_median_ms=limits), timing(), M1_PRO)

    assert found.limit == limit
    assert (found.state == "not-enforced") == (limit is None)
    if limit is None:
        assert found.reason == "no entry for Apple M1 Pro with 16 GPU cores"


def test_median_of_too_few_rounds_is_inconclusive():
    few = Timing("", 1.0, 1.0, 0.0, 3, 1)

    assert verdicts.of_median(budget(max_median_ms=9e9), few, M1_PRO).state == "inconclusive"


@pytest.mark.parametrize(
    ("facts", "state", "of"),
    [
        ({"device_peak_bytes": 5_000_000, "process_peak_bytes": 1}, "met", "of the device"),
        ({"device_peak_bytes": 5_000_001}, "exceeded", "of the device"),
        ({"process_peak_bytes": 6_000_000}, "exceeded", "of the process"),
        ({}, "not-enforced", "neither the device nor the system tells a peak"),
    ],
)
def test_memory(facts, state, of):
    found = verdicts.of_memory(budget(max_peak_mb=5), timing(**facts), M1_PRO)

    assert (found.state, found.reason) == (state, of)


@pytest.mark.parametrize(
    ("limit", "state"), [(0.47, "met"), (0.5, "inconclusive"), (0.53, "exceeded")]
)
def test_fraction_of_peak(limit, state):
    measured = [Measurement("accuracy", 1.0), Measurement("matmul", 2.0, "TFLOPS")]

    found = verdicts.of_fraction(
        budget(min_fraction_of_peak=limit), timing(), measured, {"TFLOPS": 4.0}
    )

    assert (found.state, found.value) == (state, 0.5)
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [(0.0, 0.1, "met"), (0.05, 0.11, "inconclusive"), (0.11, 0.3, "exceeded")],
)
def test_regression(low, high, state):
    found = verdicts.of_regression(budget(max_regression=0.1), Change(0.1, low, high, 0.0))

    assert found.state == state


# speedup


def record(device, median_ms, name="test_it[{}-64]", **facts):
    facts = {"outcome": "passed", "framework": "torch", **facts}
    return Record(
        f"t.py::{name.format(device)}", "", device=device, timing=timing(median_ms), **facts
    )


@pytest.mark.parametrize(
    ("least", "state"), [(1.7, "met"), (2.0, "inconclusive"), (2.3, "exceeded")]
)
def test_speedup(least, state):
    limit = budget(min_speedup_vs="cpu", min_speedup=least)
    fast = record("mps", 1.0)

    found = verdicts.of_speedup(limit, fast, [record("cpu", 2.0), fast])

    assert (found.state, found.unit) == (state, "x cpu")
    assert found.value == pytest.approx(2.0)


@pytest.mark.parametrize(
    "other",
    [
        record("cpu", 2.0, name="test_it[{}-32]"),
        record("cpu", 2.0, name="test_other[{}-64]"),
        record("cpu", 2.0, framework="numpy"),
        record("cpu", 2.0, outcome="failed"),
        record("cuda", 2.0),
    ],
)
def test_speedup_is_held_against_the_same_test_only(other):
    fast = record("mps", 1.0)

    found = verdicts.of_speedup(budget(min_speedup_vs="cpu"), fast, [other, fast])

    assert found.state == "not-enforced"
    assert "--device=cpu,mps" in found.reason


def test_speedup_waits_for_the_other_device():
    waiting = verdicts.pending(budget(min_speedup_vs="cpu", min_speedup=1.5))
    fast = record("mps", 1.0, verdicts=(waiting,))

    found = verdicts.completed(fast, [fast, record("cpu", 2.0)])

    assert [(one.state, one.limit) for one in found.verdicts] == [("met", 1.5)]


# never enforced


@pytest.mark.parametrize(
    ("device", "simulated", "virtual", "facts", "reason"),
    [
        ("mps", False, False, {}, ""),
        ("cpu", False, True, {}, ""),
        ("cuda", False, True, {}, ""),
        ("mps", False, True, {}, "the GPU is virtual"),
        ("mps-sim", True, False, {}, "the device is simulated"),
        ("cpu", False, False, {"enabled": False}, "benchmarks are disabled"),
        ("cpu", False, False, {"distributed": True}, "xdist: tests that run beside others are*"),
    ],
)
def test_where_nothing_is_enforced(device, simulated, virtual, facts, reason):
    target = Target("torch", device, Health(device, "torch", "ok", "", simulated=simulated), True)
    facts = {"enabled": True, "distributed": False, **facts}

    found = verdicts.nowhere_enforced(target, Host("macOS", virtual=virtual), **facts)

    assert found == reason if "*" not in reason else found.startswith(reason.rstrip("*"))


# lines


def test_lines_fit_80_columns_and_name_the_worst_first():
    long = "suites/benchmarks/test_matmul.py::test_matmul[torch-mps-2048-float32-and-a-long-name]"
    exceeded = verdicts.of_regression(
        budget(max_regression=0.1), Change(0.213, 0.18, 0.241, 0.0), "confirmed by a second one"
    )
    met = verdicts.of_median(budget(max_median_ms=5), timing(), M1_PRO)
    off = verdicts.not_enforced(budget(max_median_ms=5), "max_median_ms", "xdist: not timed")
    records = [
        Record(long, "", "passed", verdicts=(met, exceeded)),
        Record("b.py::test", "", "passed", verdicts=(off,)),
        Record("c.py::test", "", "passed", verdicts=(off,)),
    ]

    shown = lines_of_budgets.lines(records, 80)

    assert max(map(len, shown)) <= 80
    assert shown[0] == "budgets: 1 exceeded, 0 inconclusive, 2 not-enforced, 1 met"
    assert shown[1] == "exceeded      max_regression +10%: +21.3% [+18.0% to +24.1%]"
    assert shown[3] == "              confirmed by a second one"
    assert shown[4:7] == [
        "not-enforced  max_median_ms: xdist: not timed",
        "              b.py::test",
        "              c.py::test",
    ]
    assert shown[7] == "met           max_median_ms 5 ms: 1 [0.95 to 1.05]"
    assert lines_of_budgets.announcement(records) == "2 budgets not enforced (xdist)"
    assert lines_of_budgets.lines([Record("a", "a", "passed")], 80) == []


def test_wait_is_told_beside_short_results_only():
    def timed(mode, median_s, iterations, sync_s=200e-6):
        measured = Timing("", median_s, 0.0, 0.0, 9, iterations, mode=mode, sync_s=sync_s)
        return Record(f"t.py::test_{mode}", "", "passed", timing=measured)

    short = waits.lines([timed("latency", 1e-3, 1), timed("throughput", 1e-4, 10)], 80)

    assert (
        " ".join(short)
        .replace("   ", " ")
        .startswith(
            "t.py::test_latency: latency 1 ms, of which a wait for the idle device takes 200 us"
        )
    )
    assert any("throughput 100 us" in line for line in short)
    assert max(map(len, short)) <= 80
    assert waits.lines([timed("latency", 1.0, 1), timed("throughput", 1e-3, 1000)], 80) == []
    assert waits.lines([timed("latency", 1e-6, 1, sync_s=0.0)], 80) == []


def test_table_of_benchmarks_has_the_worst_verdict():
    met = verdicts.of_median(budget(max_median_ms=5), timing(), M1_PRO)
    off = verdicts.not_enforced(budget(max_median_ms=5), "max_median_ms", "xdist: not timed")
    record = Record("a.py::test", "", "passed", verdicts=(met, off))

    assert lines_of_budgets.words([record, Record("b", "b", "passed")]) == {
        ("a.py::test", ""): "not-enforced"
    }
