"""The table of reported bugs below a run."""

from __future__ import annotations

import pytest

from pytest_applesilicon.records import Record
from pytest_applesilicon.reports import regressions


def record(name, outcome, device="mps-sim", suite="regressions/test_regressions"):
    test = f"suites/{suite}.py::test_regression[{device}-{name}]"
    return Record(test, test, outcome, framework="torch", device=device)


def test_bugs_are_counted_by_what_their_tests_say():
    told = regressions.lines(
        [
            record("pytorch-118115-addcdiv_", "failed"),
            record("pytorch-118115-lerp_", "passed"),
            record("pytorch-116095", "crashed"),
            record("pytorch-78107-gt", "passed"),
            record("kornia-4160-all", "passed"),
            record("pytorch-197636", "skipped"),
            record("pytorch-78107-gt", "passed", device="cpu"),
        ],
        80,
    )

    assert [line.split() for line in told[:4]] == [
        ["reported", "bugs", "mps-sim", "cpu"],
        ["present", "2", "0"],
        ["absent", "2", "1"],
        ["not", "looked", "for", "1", "0"],
    ]
    assert told[5] == ("present on mps-sim, with the tests that show it: pytorch-118115 (1 of 2),")
    assert told[6] == "  pytorch-116095 (1 of 1)"
    assert max(map(len, told)) <= 80


def test_other_suites_have_no_table():
    assert regressions.lines([record("pytorch-1", "failed", suite="ops/test_operators")], 80) == []


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        (["passed", "hung"], "present"),
        (["passed", "skipped"], "absent"),
        (["skipped"], "not looked for"),
        (["error"], "not looked for"),
    ],
)
def test_state_of_a_bug(outcomes, state):
    assert regressions.state(outcomes) == state
