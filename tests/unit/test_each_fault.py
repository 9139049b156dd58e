"""How the child runs of ``--faults=each`` are judged and started."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pytest_applesilicon import each_fault
from pytest_applesilicon.records import Host, Record, Report, RunFacts, record_from_json, to_json
from pytest_applesilicon.reports import document, faults
from pytest_applesilicon.simulate import fault_names
from pytest_applesilicon.simulate.fault_families import BUILT_IN


def judged(status, report=Path("absent.json"), text="one\nlast\n"):
    found = each_fault.judged("stale-number", status, text, report, 3.0)
    return found.outcome, found.by, found.failed


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, ("hung", "no end after 3 s", 0)),
        (-6, ("crashed", "SIGABRT", 0)),
        (-11, ("crashed", "SIGSEGV", 0)),
        (0, ("not caught", "", 0)),
        (1, ("error", "exit status 1: last", 0)),
        (3, ("error", "exit status 3: last", 0)),
        (5, ("error", "exit status 5: last", 0)),
    ],
)
def test_the_end_of_a_run_is_an_outcome(status, expected):
    assert judged(status) == expected


def test_a_failed_run_names_its_first_failed_test(tmp_path):
    records = (
        Record("a::b", "a::b", "passed"),
        Record("a::c", "a::c", "failed"),
        Record("a::d", "a::d", "error"),
    )
    facts = RunFacts("0", "now", Host("Linux"), (), {}, {})
    document.write(Report(facts, records), tmp_path / "report.json")

    assert judged(1, tmp_path / "report.json") == ("caught", "a::c", 2)


@pytest.mark.parametrize(
    "args",
    [
        ["tests", "--faults=each", "-q"],
        ["tests", "--faults", "each", "-q"],
        ["tests", "--applesilicon-faults=each", "-q"],
        ["tests", "--applesilicon-faults", "each", "-q"],
    ],
)
def test_the_option_itself_is_not_handed_on(args):
    assert each_fault.without_faults(args) == ["tests", "-q"]


def test_what_was_not_noticed_is_told():
    outcomes = [faults.FaultOutcome("one", "caught", "a::b", 3), faults.FaultOutcome("two", "hung")]

    assert faults.outcome_table(outcomes, 80)[-1] == "2 faults: 1 caught, 1 hung"
    assert [one.noticed for one in outcomes] == [True, True]
    assert not faults.FaultOutcome("three", "not caught").noticed
    assert not faults.FaultOutcome("four", "error").noticed


def test_there_are_many_faults_each_with_reason_family_and_issue():
    assert len(BUILT_IN) >= 60
    for name, fault in BUILT_IN.items():
        assert name == fault.name
        assert fault.reason
        assert fault.family
        assert fault.issues
        assert all(glob.strip().startswith("aten::") for glob in fault.op.split(","))


def test_faults_are_not_told_apart_by_parameters_alone():
    ways = [(fault.op, fault.reason) for fault in BUILT_IN.values()]

    assert len(set(ways)) == len(ways)


def test_a_limit_makes_the_same_fault_with_another_limit():
    (small,) = fault_names.load("cat-output-limit", Path())
    (large,) = fault_names.load("cat-output-limit@1000", Path())

    assert small.name == large.name
    assert "beyond 1000 elements" in large.reason
    assert "beyond 1000 elements" not in small.reason


def test_a_record_keeps_its_faults_on_the_way():
    record = Record("a::b", "a::b", "passed", faults=("one", "two"))

    assert record_from_json(to_json(record)) == record
    assert dataclasses.replace(record, faults=()) != record
