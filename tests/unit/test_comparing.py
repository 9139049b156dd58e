"""Two runs: exactly what differs is named, and what cannot be compared is said."""

from __future__ import annotations

import dataclasses
import math

import pytest
from report_made import everything, facts, operator, record, timing, verdict

from pytest_applesilicon.comparing import NotComparableError, compare, without_device
from pytest_applesilicon.comparing_times import ratio_of
from pytest_applesilicon.records import Report
from pytest_applesilicon.reports import compared, page_lines


def held(first: tuple, second: tuple, a=None, b=None):
    return compare(("a", Report(a or facts(), first)), ("b", Report(b or facts(), second)))


def kinds(changes) -> list[tuple[str, str]]:
    return [(one.kind, one.what) for one in changes]


def test_two_identical_runs_differ_in_nothing():
    found = compare(("a", everything()), ("b", everything()))

    assert found.count("any") == 0
    assert found.compared == len(everything().records)
    assert found.facts == found.notes == ()
    lines = page_lines.lines(compared.page([found], simulated=False), 80)
    assert "Nothing differs." in lines


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("native", "unsupported", "lost"),
        ("native", "fallback", "lost"),
        ("native", "wrong", "lost"),
        ("unsupported", "native", "gained"),
        ("unsupported", "fallback", "changed"),
        ("wrong", "crashed", "changed"),
    ],
)
def test_an_operator_with_another_outcome_is_named_once(before, after, kind):
    same = operator("add")

    found = held((same, operator("eig", before)), (same, operator("eig", after)))

    assert kinds(found.operators) == [(kind, "eig, forward in float32")]
    assert found.count(kind) == found.count("any") == 1


def test_devices_with_other_names_are_paired_where_each_run_has_one():
    found = held(
        (operator("add", device="mps"), operator("eig", device="mps")),
        (operator("add", device="mps-sim"), operator("eig", "unsupported", device="mps-sim")),
    )

    assert found.devices[0] == ("mps", "mps-sim")
    assert found.compared == 2
    assert kinds(found.operators) == [("lost", "eig, forward in float32")]


def test_of_several_devices_those_in_both_runs_are_compared_and_the_others_named():
    first = (operator("add"), operator("add", device="mps"))

    found = held(first, (operator("add", "wrong"),))

    assert kinds(found.operators) == [("lost", "add, forward in float32")]
    assert found.notes == ("only a ran on mps: not compared",)


def test_devices_that_cannot_be_paired_are_refused_by_name():
    first = (operator("add", device="mps"), operator("add", device="cuda"))

    with pytest.raises(NotComparableError, match="a ran on mps, cuda and b on cpu: no device in"):
        held(first, (operator("add"),))


def test_another_version_of_the_suites_is_refused_by_name():
    with pytest.raises(NotComparableError, match=r"suites of version 0\.0\.1 and b by "):
        held((), (), facts(version="0.0.1"))


def test_versions_between_releases_are_compared_with_a_note():
    same = (operator("add"),)

    found = held(same, same, facts(version="1.2.1.dev3"), facts(version="1.2.1.dev9"))

    assert found.notes == (
        "made with 1.2.1.dev3 and 1.2.1.dev9: between releases, tests of one name may differ",
    )


@pytest.mark.parametrize(
    ("test", "device", "left"),
    [
        ("t.py::a[mps-sim-float32-add]", "mps-sim", "t.py::a[float32-add]"),
        ("t.py::a[torch-mps-1]", "mps", "t.py::a[1]"),
        ("t.py::a[mps]", "mps", "t.py::a"),
        ("t.py::a[float32-mps]", "mps", "t.py::a[float32-]"),
        ("t.py::mps[xmps-1]", "mps", "t.py::mps[xmps-1]"),
        ("t.py::a[cpu-cpu]", "cpu", "t.py::a[cpu]"),
    ],
)
def test_the_device_is_taken_out_of_a_test_id_once(test, device, left):
    assert without_device(record(test, device=device)) == left


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("passed", "failed", "broken"),
        ("crashed", "passed", "fixed"),
        ("passed", "skipped", "changed"),
    ],
)
def test_a_test_that_ends_otherwise_is_named(before, after, kind):
    found = held((record("t::a", before),), (record("t::a", after, reason="why"),))

    assert kinds(found.tests) == [(kind, "t::a")]
    assert found.tests[0].reason == "why"


def test_tests_of_one_run_alone_are_missing_or_new_unless_they_were_skipped():
    found = held((record("t::a"), record("t::s", "skipped")), (record("t::b"),))

    assert kinds(found.tests) == [("missing", "t::a"), ("new", "t::b")]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [(0.2, 0.5, "worse"), (0.5, 0.2, "better"), (0.2, 0.39, None), (0.001, 0.04, None)],
)
def test_agreement_changes_by_more_than_the_order_of_summation_explains(before, after, kind):
    found = held(
        (operator("sum", worst_envelope=before),), (operator("sum", worst_envelope=after),)
    )

    assert [one.kind for one in found.agreement] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("met", "exceeded", "broken"),
        ("exceeded", "met", "fixed"),
        ("met", "not-enforced", "changed"),
        ("met", "met", None),
    ],
)
def test_a_budget_with_another_verdict_is_named(before, after, kind):
    first = record("b", verdicts=(verdict(before),))

    found = held((first,), (record("b", verdicts=(verdict(after, value=0.7),)),))

    assert kinds(found.budgets) == ([(kind, "max_median_ms of b")] if kind else [])
    assert found.count("any") == (kind is not None)


def test_the_interval_that_a_timing_has_is_taken():
    before = dataclasses.replace(timing(1.0, iqr=9.0), low_s=0.99, high_s=1.01)
    after = dataclasses.replace(timing(1.2, iqr=9.0), low_s=1.19, high_s=1.21)

    assert ratio_of("b", before, after).verdict == "slower"


def test_another_seed_or_size_leaves_agreement_and_times_out_and_says_so():
    first = (operator("sum", worst_envelope=0.1), record("b", timing=timing(1.0)))
    second = (operator("sum", worst_envelope=0.9), record("b", timing=timing(2.0)))

    found = held(first, second, b=facts(settings={"size": "full", "seed": "1"}))

    assert found.agreement == found.ratios == ()
    assert found.notes == (
        "agreement and times are not compared: size quick and full; seed 0 and 1",
    )


def test_times_of_a_simulated_device_are_not_compared():
    second = record("b", device="mps-sim", simulated=True, timing=timing(2.0))

    found = held((record("b", timing=timing(1.0)),), (second,))

    assert found.ratios == ()
    assert "a simulated device has the speed of the CPU" in found.notes[0]


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        (timing(1.2), "slower"),
        (timing(0.8), "faster"),
        (timing(1.04), "no difference shown"),  # narrow interval, but below what a run can show
        (timing(1.2, iqr=1.0), "no difference shown"),
        (timing(1.2, rounds=4), "too few rounds"),
    ],
)
def test_a_ratio_is_judged_by_its_interval(after, verdict):
    found = ratio_of("b", timing(1.0), after)

    assert found.verdict == verdict
    assert found.value == pytest.approx(after.median_s)


def test_interval_of_a_ratio_is_that_of_notched_boxes():
    found = ratio_of("b", timing(1.0, iqr=0.1, rounds=25), timing(2.0, iqr=0.2, rounds=25))

    half = math.hypot(1.57 * 0.1 / 5, 1.57 * 0.1 / 5)
    assert (found.low, found.high) == pytest.approx((2 * math.exp(-half), 2 * math.exp(half)))


def test_a_time_of_nothing_is_no_ratio():
    assert math.isnan(ratio_of("b", timing(0.0), timing(1.0)).value)


def test_host_versions_and_settings_that_differ_are_listed():
    host = dataclasses.replace(facts().host, chip="Apple M2", virtual=True)

    same = (operator("add"),)
    found = held(same, same, b=facts(host=host, versions={"torch": "2.14.0"}))

    assert found.facts == (
        ("chip", "AMD EPYC", "Apple M2"),
        ("virtual", "None", "True"),
        ("torch", "2.13.0", "2.14.0"),
    )


def test_every_line_of_a_comparison_fits_eighty_columns_and_names_the_test():
    name = "suites/agreement/test_layouts.py::test_layouts_of_a_long_name[cpu-float32-transposed-addcmul]"
    found = held((record(name),), (record(name, "failed", reason="a long reason " * 20),))

    lines = page_lines.lines(compared.page([found], simulated=True), 80)

    assert max(map(len, lines)) <= 80
    assert any("transposed-addcmul]" in line and "broken" in line for line in lines)
    assert any(line.startswith("simulated: ") for line in lines)
