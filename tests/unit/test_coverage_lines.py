"""The coverage tables count every operator once, by category and outcome."""

from __future__ import annotations

from pytest_applesilicon.records import OpOutcome, Record
from pytest_applesilicon.reports import coverage


def record(operator: str, outcome: str, category: str = "pointwise", **more) -> Record:
    found = OpOutcome(operator, category, "float32", "forward", outcome, **more)
    return Record("t", "t", "passed", "torch", more.pop("device", "mps"), operator=found)


def test_nothing_is_shown_where_no_operator_was_tested():
    assert coverage.lines([Record("t", "t", "passed")], 80) == []


def test_outcomes_are_counted_by_category_and_in_all():
    records = [
        record("add", "native"),
        record("mul", "native"),
        record("sum", "unsupported", "reduction"),
        record("cumsum", "wrong", "reduction"),
    ]

    assert coverage.lines(records, 80) == [
        "operators on mps  native  unsupported  wrong",
        "pointwise              2            0      0",
        "reduction              0            1      1",
        "all                    2            1      1",
    ]


def test_fallback_is_never_counted_as_native():
    told = coverage.lines([record("add", "native"), record("eig", "fallback")], 80)

    assert told[-1].split() == ["all", "1", "1"]
    assert told[0].split()[-2:] == ["native", "fallback"]


def test_operators_closest_to_the_limit_are_named_worst_first():
    records = [
        record("sin", "native", worst_envelope=0.25, worst_ulp=1.0),
        record("igamma", "native", worst_envelope=0.75, worst_ulp=5.5),
    ]

    assert coverage.lines(records, 80)[-3:] == [
        "closest to the limit        error / allowed  ULP",
        "igamma, forward in float32             0.75  5.5",
        "sin, forward in float32                0.25    1",
    ]


def test_every_line_fits_eighty_columns():
    name = "nn.functional.a_very_long_name_of_an_operator_that_nobody_would_choose_for_anything"
    told = coverage.lines([record(name, "native", worst_envelope=0.5)], 80)

    assert max(len(line) for line in told) <= 80


def test_each_framework_of_a_run_has_a_table_of_its_own():
    mlx = Record("t", "t", "passed", "mlx", "mps", operator=record("add", "wrong").operator)

    told = coverage.lines([record("add", "native"), record("mul", "native"), mlx], 80)

    assert [line.split() for line in told if "mps" in line or line.startswith("all")] == [
        ["operators", "on", "torch", "mps", "native"],
        ["all", "2"],
        ["operators", "on", "mlx", "mps", "wrong"],
        ["all", "1"],
    ]
