"""The table of benchmarks: devices side by side, ratio, verdict, and what others published."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_applesilicon.records import Measurement, Published, Record, Timing
from pytest_applesilicon.reports import benchmarks


def _record(
    test: str,
    device: str | None,
    seconds: float | None,
    *measured: Measurement,
    framework: str | None = "torch",
    place: str = "",
) -> Record:
    timing = None if seconds is None else Timing("", seconds, seconds, 0.0, 5, 1)
    nodeid = f"suites/benchmarks/t.py::{test}"
    return Record(
        nodeid,
        nodeid,
        "passed",
        framework,
        device,
        measurements=measured,
        timing=timing,
        place=place,
    )


M1 = Published("36.28", "s", "Apple M1 Max", "mps", "torch 1.13", "a comparison, June 2022")


def test_devices_stand_side_by_side_with_their_ratio():
    records = [
        _record("test_a[cpu-256]", "cpu", 0.8),
        _record("test_a[mps-256]", "mps", 0.2),
        _record("test_b[cpu]", "cpu", 0.001, Measurement("b of 3", 5.0, "GB/s")),
        _record("test_b[mps]", "mps", 0.002, Measurement("b of 3", 2.5, "GB/s")),
    ]

    assert benchmarks.lines(records, 80) == [
        "benchmark     cpu       mps  vs cpu",
        "a[256]     800 ms    200 ms   4.00x",
        "b of 3     5 GB/s  2.5 GB/s   0.50x",
    ]


def test_a_simulated_device_has_no_ratio():
    simulated = dataclasses.replace(_record("test_a[mps-sim]", "mps-sim", 2.0), simulated=True)

    lines = benchmarks.lines([_record("test_a[cpu]", "cpu", 1.0), simulated], 80)

    assert lines[1].split() == ["a", "1", "s", "2", "s", "-"]


def test_one_device_has_no_ratio():
    assert benchmarks.lines([_record("test_a[cpu]", "cpu", 2.5)], 80) == [
        "benchmark    cpu",
        "a          2.5 s",
    ]


def test_cpu_is_what_others_are_compared_with_wherever_it_stands():
    records = [_record("test_a[mps]", "mps", 1.0), _record("test_a[cpu]", "cpu", 4.0)]

    assert benchmarks.lines(records, 80)[1].split() == ["a", "1", "s", "4.00x", "4", "s"]


def test_a_test_without_a_device_is_of_the_host():
    records = [
        _record("test_start", None, 0.02, framework=None),
        _record("test_a[cpu]", "cpu", 1.0),
    ]

    assert benchmarks.lines(records, 80) == [
        "benchmark   host  cpu",
        "start      20 ms    -",
        "a              -  1 s",
    ]


def test_frameworks_have_columns_of_their_own():
    records = [
        _record("test_a[torch-cpu-256]", "cpu", 1.0),
        _record("test_a[numpy-cpu-256]", "cpu", 2.0, framework="numpy"),
    ]

    assert benchmarks.lines(records, 80) == [
        "benchmark  torch cpu  numpy cpu  vs torch cpu",
        "a[256]           1 s        2 s         0.50x",
    ]


def test_verdicts_stand_in_the_last_column():
    records = [_record("test_a[cpu]", "cpu", 1.0), _record("test_b[cpu]", "cpu", 2.0)]
    verdicts = {(records[0].test_id, ""): "met"}

    assert benchmarks.lines(records, 80, verdicts) == [
        "benchmark  cpu  verdict",
        "a          1 s      met",
        "b          2 s",
    ]


def test_what_was_published_stands_below_its_row_with_its_source():
    records = [_record("test_a[cpu]", "cpu", 90.0, Measurement("epoch", 90.0, "s", (M1,)))]

    assert benchmarks.lines(records, 80) == [
        "benchmark   cpu",
        "epoch      90 s",
        "  published: 36.28 s Apple M1 Max mps, torch 1.13",
        "published by: a comparison, June 2022 (as their authors printed them; none was",
        "  measured by this project)",
    ]


def test_our_time_stands_beside_published_times_where_the_cell_shows_a_rate():
    figure = Measurement("matmul", 3.0, "TFLOPS", (M1,))

    lines = benchmarks.lines([_record("test_a[cpu]", "cpu", 0.5, figure)], 80)

    assert lines[2].endswith("(here 500 ms)")


def test_rates_and_times_of_others_stand_below_one_row():
    rate = dataclasses.replace(M1, value="4.28", unit="TFLOPS")
    figure = Measurement("matmul", 3.0, "TFLOPS", (M1, rate))

    lines = benchmarks.lines([_record("test_a[cpu]", "cpu", 0.5, figure)], 120)

    assert lines[2].endswith("4.28 TFLOPS Apple M1 Max mps, torch 1.13 (here 500 ms)")


def test_what_was_published_of_another_figure_names_it_and_ours():
    measured = (Measurement("mlp", 4000, "images/s"), Measurement("five epochs", 70.0, "s", (M1,)))

    lines = benchmarks.lines([_record("test_a[cpu]", "cpu", 14.0, *measured)], 100)

    assert lines[1].split() == ["mlp", "4000", "images/s"]
    assert lines[2] == (
        "  published of five epochs: 36.28 s Apple M1 Max mps, torch 1.13 (here 70 s)"
    )


def test_what_keeps_a_figure_from_being_compared_is_said():
    noted = Published("38.50", "s", "Apple M1", "cpu", note="the size is not known")

    lines = benchmarks.lines(
        [_record("test_a", None, 1.0, Measurement("loop", 1.0, "s", (noted,)))], 80
    )

    assert lines[2].endswith("(the size is not known)")


def test_a_time_is_shown_in_the_unit_that_suits_it():
    records = [_record("test_a[cpu]", "cpu", 1.0, Measurement("start", 0.0238, "s"))]

    assert benchmarks.lines(records, 80)[1].split() == ["start", "23.8", "ms"]


def test_nothing_timed_is_no_table():
    assert benchmarks.lines([_record("test_a[cpu]", "cpu", None)], 80) == []


@pytest.mark.parametrize("width", [60, 80])
def test_no_line_exceeds_the_width(width: int):
    long = "a workload whose name is longer than any terminal is wide " * 2
    records = [
        _record(f"test_a[{device}]", device, 1.0, Measurement(long, 12.34, "images/s", (M1,) * 3))
        for device in ("cpu", "mps", "mps-sim", "cuda:1")
    ]
    verdicts = {(record.test_id, ""): "inconclusive" for record in records}

    lines = benchmarks.lines(records, width, verdicts)

    assert [line for line in lines if len(line) > width] == []
    assert sum("cuda:1" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("test", "device", "expected"),
    [
        ("test_a[mps-sim-256-float32]", "mps-sim", "test_a[256-float32]"),
        ("test_a[torch-cpu-3]", "cpu", "test_a[3]"),
        ("test_a[big-cuda:1]", "cuda:1", "test_a[big]"),
        ("test_a[cpu]", "cpu", "test_a"),
        ("test_a[cpu-cpu]", "cpu", "test_a[cpu]"),
        ("test_a[3]", None, "test_a[3]"),
    ],
)
def test_id_of_a_workload_has_no_device(test: str, device: str | None, expected: str):
    record = _record(test, device, 1.0)

    assert benchmarks.workload_id(record) == f"suites/benchmarks/t.py::{expected}"
