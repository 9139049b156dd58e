"""Budgets in a run: verdicts, what is not enforced, exit status, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("numpy_only")

#: A device that takes as long as the file ``seconds`` says, by a clock of its own.
FAKE_CLOCK = """
import pathlib
from pytest_applesilicon.frameworks import measuring, reference

class Clock:
    now = 0.0

    def __call__(self):
        self.now += 1e-8
        return self.now

clock = Clock()

def work():
    clock.now += float(pathlib.Path("seconds").read_text())

class FakeReference:
    def __init__(self, framework, spec):
        pass

    def run(self):
        return (1e-3, 1e-3, 1e-3)

reference.Reference = FakeReference
"""

TEST = """
import pytest
from conftest import clock, work

@pytest.mark.benchmark(timer=clock, max_time=0.05)
@pytest.mark.budget({budget})
def test_it(device_benchmark):
    device_benchmark.latency(work)
"""


@pytest.fixture
def timed(pytester, run, report):
    """Run one test that takes ``seconds``, with a budget; returns result, verdicts and status."""
    pytester.makeconftest(FAKE_CLOCK)

    def run_timed(seconds, budget, *args):
        if "max_regression" in budget:
            pytest.importorskip("scipy", reason="the interval of a regression needs SciPy")
        Path(pytester.path, "seconds").write_text(str(seconds))
        pytester.makepyfile(test_timed=TEST.format(budget=budget))
        result = run("--device=cpu", "--applesilicon-report=report.json", *args)
        found = report()["records"] if Path(pytester.path, "report.json").exists() else []
        return result, [one for record in found for one in record["verdicts"]]

    return run_timed


def states(verdicts):
    return [(one["limit_name"], one["state"]) for one in verdicts]


@pytest.mark.parametrize(
    ("mode", "status"), [("off", 0), ("report", 0), ("enforce", 1), ("strict", 1)]
)
def test_budget_that_is_exceeded(timed, mode, status):
    result, verdicts = timed(0.002, "max_median_ms=1.5", f"--budgets={mode}")

    assert result.ret == status
    result.assert_outcomes(passed=1)
    if mode == "off":
        assert verdicts == []
        return
    assert states(verdicts) == [("max_median_ms", "exceeded")]
    assert verdicts[0]["value"] == pytest.approx(2.0, rel=0.01)
    assert verdicts[0]["low"] <= verdicts[0]["value"] <= verdicts[0]["high"]
    result.stdout.fnmatch_lines(
        [
            "budgets: 1 exceeded, 0 inconclusive, 0 not-enforced, 0 met",
            "exceeded      max_median_ms 1.5 ms: 2*",
            "              test_timed.py::test_it[[]cpu]",
        ]
    )


def test_budget_that_is_met(timed):
    result, verdicts = timed(0.001, "max_median_ms=1.5", "--budgets=strict")

    assert result.ret == 0
    assert states(verdicts) == [("max_median_ms", "met")]


def test_missing_chip_is_not_enforced_and_never_met(timed):
    result, verdicts = timed(0.001, "max_median_ms={'Apple M1/8': 99}", "--budgets=enforce")

    assert result.ret == 0
    assert states(verdicts) == [("max_median_ms", "not-enforced")]
    assert "no entry for" in verdicts[0]["reason"]
    result.stdout.fnmatch_lines(["1 budget not enforced (no entry for *"])
    assert timed(0.001, "max_median_ms={'Apple M1/8': 99}", "--budgets=strict")[0].ret == 1


def test_memory_of_the_process_is_limited(timed):
    _, verdicts = timed(0.001, "max_peak_mb=1")
    assert states(verdicts) == [("max_peak_mb", "exceeded")]

    _, verdicts = timed(0.001, "max_peak_mb=100_000")
    assert states(verdicts) == [("max_peak_mb", "met")]
    assert verdicts[0]["reason"] == "of the process"


def test_fraction_of_the_measured_peak(pytester, run, report):
    pytester.makepyfile(
        """
        import numpy as np
        import pytest

        @pytest.mark.budget(min_fraction_of_peak=1e-6)
        def test_met(device_benchmark, applesilicon):
            a = np.ones((64, 64), dtype=np.float32)
            device_benchmark.latency(lambda: a @ a)
            rate = 2 * 64**3 / 1e12 / device_benchmark.stats.median
            applesilicon.measure("matmul", rate, "TFLOPS")

        @pytest.mark.budget(min_fraction_of_peak=1e6)
        def test_exceeded(device_benchmark, applesilicon):
            device_benchmark.latency(sum, range(10))
            applesilicon.measure("copy", 1e-3, "GB/s")

        @pytest.mark.budget(min_fraction_of_peak=0.5)
        def test_without_a_rate(device_benchmark):
            device_benchmark.latency(sum, range(10))
        """
    )

    run("--device=cpu", "--applesilicon-report=report.json", "--benchmark-max-time=0.05")

    found = [record["verdicts"][0] for record in report()["records"]]
    assert [one["state"] for one in found] == ["met", "exceeded", "not-enforced"]
    assert "peak" in found[0]["reason"]
    assert "leaves no rate" in found[2]["reason"]


def test_speedup_needs_the_other_device_in_the_run(timed):
    result, verdicts = timed(0.001, "min_speedup_vs='cuda'", "--budgets=strict")

    assert result.ret == 1
    assert states(verdicts) == [("min_speedup_vs", "not-enforced")]
    assert "no result on cuda in this run: --device=cuda,cpu" in verdicts[0]["reason"]


def test_device_is_not_held_against_itself(timed):
    result, verdicts = timed(0.001, "min_speedup_vs='cpu'", "--budgets=strict")

    assert (result.ret, verdicts) == (0, [])


# regression

REGRESSION = "max_regression=0.1"
BASELINE = ("--budgets-baseline=baselines",)


def test_regression_against_a_baseline(timed, pytester):
    result, verdicts = timed(0.001, REGRESSION, *BASELINE, "--budgets=enforce")
    assert result.ret == 0
    assert states(verdicts) == [("max_regression", "not-enforced")]
    assert "no baseline of this test yet" in verdicts[0]["reason"]

    result, verdicts = timed(0.001, REGRESSION, *BASELINE, "--budgets-accept=first one")
    assert verdicts[0]["reason"] == "baseline moved: first one"
    (file,) = Path(pytester.path, "baselines").glob("*.json")
    document = json.loads(file.read_text())
    assert document["accepted"][0]["reason"] == "first one"
    assert document["tests"]["test_timed.py::test_it[cpu]"]["date"]

    result, verdicts = timed(0.00105, REGRESSION, *BASELINE, "--budgets=strict")
    assert (result.ret, states(verdicts)) == (0, [("max_regression", "met")])

    result, verdicts = timed(0.0012, REGRESSION, *BASELINE, "--budgets=enforce")
    assert (result.ret, states(verdicts)) == (1, [("max_regression", "exceeded")])
    assert verdicts[0]["value"] == pytest.approx(0.2, abs=0.01)
    assert "confirmed by a second measurement" in verdicts[0]["reason"]

    result, verdicts = timed(0.0012, REGRESSION, *BASELINE, "--budgets-accept=slower, and why")
    assert result.ret == 0
    result, verdicts = timed(0.0012, REGRESSION, *BASELINE, "--budgets=strict")
    assert (result.ret, states(verdicts)) == (0, [("max_regression", "met")])
    document = json.loads(file.read_text())
    assert [one["reason"] for one in document["accepted"]] == ["first one", "slower, and why"]


def test_accepting_twice_the_same_test_keeps_the_others(timed, pytester):
    timed(0.001, REGRESSION, *BASELINE, "--budgets-accept=one")
    (file,) = Path(pytester.path, "baselines").glob("*.json")
    document = json.loads(file.read_text())
    document["tests"]["other.py::test_other[cpu]"] = document["tests"][
        "test_timed.py::test_it[cpu]"
    ]
    file.write_text(json.dumps(document))

    timed(0.001, REGRESSION, *BASELINE, "--budgets-accept=two")

    assert sorted(json.loads(file.read_text())["tests"]) == [
        "other.py::test_other[cpu]",
        "test_timed.py::test_it[cpu]",
    ]


def test_other_size_is_not_compared(timed):
    timed(0.001, REGRESSION, *BASELINE, "--budgets-accept=one")

    _, verdicts = timed(0.001, REGRESSION, *BASELINE, "--size=full")

    assert states(verdicts) == [("max_regression", "not-enforced")]
    assert "--size quick, this run with full" in verdicts[0]["reason"]


@pytest.mark.parametrize(("mode", "status"), [("enforce", 0), ("strict", 1)])
def test_tenfold_regression_under_xdist_is_announced_and_fails_under_strict(timed, mode, status):
    timed(0.001, REGRESSION, *BASELINE, "--budgets-accept=one")

    result, verdicts = timed(0.01, REGRESSION, *BASELINE, f"--budgets={mode}", "-n", "2")

    assert result.ret == status
    result.assert_outcomes(passed=1)
    assert states(verdicts) == [("max_regression", "not-enforced")]
    result.stdout.fnmatch_lines(["1 budget not enforced (xdist)*"])


@pytest.mark.parametrize(("mode", "status"), [("enforce", 0), ("strict", 1)])
def test_disabled_benchmarks_enforce_nothing(timed, mode, status):
    result, _ = timed(0.01, "max_median_ms=1", f"--budgets={mode}", "--benchmark-disable")

    assert result.ret == status
    result.stdout.fnmatch_lines(["1 budget not enforced (benchmarks are disabled)*"])


@pytest.mark.parametrize("body", ["pytest.skip('no')", "assert False"])
def test_test_that_did_not_pass_has_no_met_budget(pytester, run, report, body):
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.budget(max_median_ms=99)
        def test_it(device_benchmark):
            {body}
        """
    )

    result = run("--device=cpu", "--applesilicon-report=report.json", "--budgets=strict")

    assert result.ret == 1
    (verdict,) = report()["records"][0]["verdicts"]
    assert (verdict["state"], verdict["reason"]) == ("not-enforced", "the test did not pass")


def test_conditions_of_the_machine_are_in_the_report(timed, report):
    timed(0.001, "max_median_ms=1.5")

    assert set(report()["conditions"]) == {
        "load",
        "power mode",
        "power source",
        "thermal state",
        "virtual machine",
    }


# bad input

ONE = """
def test_it(device_benchmark):
    device_benchmark.latency(sum, range(10))
"""


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[[budget]]\ntest='*'\nmax_median=1", "field max_median: 1 is not accepted; there is no*"),
        ("[[budget]]\nmax_median_ms=1", "field test is missing; accepted: test, max_median_ms,*"),
        (
            "[[budget]]\ntest='*'\nmax_median_ms=-1",
            "*max_median_ms: -1 is not accepted; give a num*",
        ),
        ("[[budget]]\ntest='*'\nmax_regression=nan", "field max_regression: nan is not accepted*"),
        ("[[budget]]\ntest='*'\nmax_median_ms='x'", "field max_median_ms: 'x' is not accepted*"),
        ("[[budget]]\ntest='*'", "it has no limit; give one of max_median_ms, max_regression,*"),
        (
            "[[budget]]\ntest='*'\nmax_median_ms={'Aple M1'=1}",
            "field max_median_ms: chip 'Aple M1' is not known; give Apple M1, Apple M1 Pro,*",
        ),
        (
            "[[budget]]\ntest='*'\nmax_median_ms={'Apple M1/9'=1}",
            "field max_median_ms: GPU cores of Apple M1: '9' is not accepted; give 7 or 8",
        ),
        (
            "[[budget]]\ntest='*'\nmin_speedup_vs='gpu'",
            "field min_speedup_vs: 'gpu' is not accepted; give a device: cpu, mps, cuda, cuda:N",
        ),
        ("[[budget]]\ntest='*'\nmin_speedup=2\nmax_median_ms=1", "field min_speedup needs min_sp*"),
        (
            "[[budget]]\ntest='*'\nmax_regression=0.1\nreference='gpu'",
            "field reference: 'gpu' is not accepted; give one of auto, compute, memory, dispatch",
        ),
        (
            "[[budget]]\ntest='test_bad.py::test_i'\nmax_median_ms=1",
            "field test: 'test_bad.py::test_i' matches no test; the nearest: test_bad.py::test_it*",
        ),
        ("[[budgets]]\ntest='*'", "'budgets' is not accepted; give [[][[]budget]] tables only"),
        ("[budget]\ntest='*'", "budget is one table; give [[][[]budget]], with two brackets"),
        ("[[budget]\ntest='*'", "not a whole TOML document*"),
    ],
)
def test_bad_budget_ends_the_run_before_anything_is_measured(pytester, run, toml, message):
    pytester.makepyfile(test_bad=ONE)
    Path(pytester.path, "budgets.toml").write_text(toml)

    result = run("--device=cpu", "--budgets=report")

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: budgets.toml: *{message}"])
    result.stdout.no_fnmatch_line("*passed*")


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["serial", "xdist"])
def test_budget_that_matches_no_test_ends_the_run(pytester, run, workers):
    pytester.makepyfile(test_bad=ONE)
    Path(pytester.path, "budgets.toml").write_text("[[budget]]\ntest='no*'\nmax_median_ms=1")

    result = run("--device=cpu", *workers)

    assert result.ret == 4
    assert "matches no test" in result.stderr.str() + result.stdout.str()


def test_budget_of_a_folder_that_is_not_run_is_left_alone(pytester, run):
    pytester.makepyfile(test_bad=ONE)
    pytester.makepyfile(**{"other/test_other": ONE})
    Path(pytester.path, "budgets.toml").write_text(
        "[[budget]]\ntest='other/test_other.py::*'\nmax_median_ms=1"
    )

    assert run("--device=cpu", "test_bad.py").ret == 0


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("max_median=1", "*marker budget: field max_median: 1 is not accepted; there is no such*"),
        ("max_median_ms=0", "*marker budget: field max_median_ms: 0 is not accepted; give a numb*"),
        ("1", "*marker budget: 1 is not accepted; name every field*"),
        ("", "*marker budget: it has no limit*"),
    ],
)
def test_bad_marker_ends_the_run(pytester, run, marker, message):
    pytester.makepyfile(f"import pytest\n@pytest.mark.budget({marker}){ONE}")

    result = run("--device=cpu")

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: test_bad_marker*{message}"])


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("def test_it(device): pass", "*this test measures nothing on a device of ours*"),
        (
            "def test_it(device, benchmark): benchmark(len, 'a')",
            "*max_regression needs the fixture device_benchmark*",
        ),
    ],
)
def test_budget_of_a_test_that_cannot_be_held_against_it(pytester, run, test, message):
    pytester.makepyfile(f"import pytest\n@pytest.mark.budget(max_regression=0.1)\n{test}")

    result = run("--device=cpu")

    assert result.ret == 4
    result.stderr.fnmatch_lines([message])


def test_regression_without_scipy_names_what_to_install(pytester, run):
    pytester.makepyfile(scipy="raise ImportError")
    pytester.makepyfile(f"import pytest\n@pytest.mark.budget(max_regression=0.1){ONE}")

    result = run("--device=cpu")

    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            "ERROR: max_regression needs SciPy",
            "  remedy: pip install 'pytest-applesilicon[[]suites]'",
        ]
    )


def test_baseline_of_another_machine_ends_the_run(timed, pytester):
    timed(0.001, REGRESSION, *BASELINE, "--budgets-accept=one")
    (file,) = Path(pytester.path, "baselines").glob("*.json")
    document = json.loads(file.read_text())
    document["identity"]["chip"] = "Apple M1"
    file.write_text(json.dumps(document))
    Path(pytester.path, "report.json").unlink()

    result, verdicts = timed(0.001, REGRESSION, *BASELINE)

    assert (result.ret, verdicts) == (4, [])
    result.stderr.fnmatch_lines(
        ["ERROR: *.json: is a baseline of another machine", "  chip: Apple M1 there, * here"]
    )

    file.rename(file.with_name("other.json"))
    result, _ = timed(0.001, REGRESSION, *BASELINE)
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["*no baseline of this machine; the nearest is of another one*", "  chip: Apple M1 there*"]
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "*not a whole JSON document*"),
        ("{}", "*missing required field `schema_version`*"),
        ("[]", "*Expected `object`, got `array`*"),
    ],
)
def test_broken_baseline_ends_the_run(timed, pytester, content, message):
    timed(0.001, REGRESSION, *BASELINE, "--budgets-accept=one")
    (file,) = Path(pytester.path, "baselines").glob("*.json")
    file.write_text(content)

    result, _ = timed(0.001, REGRESSION, *BASELINE)

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: *{file.name}: {message}"])
    assert file.read_text() == content


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budgets=some"], "--budgets: 'some' is not accepted; give one of: off, report,*"),
        (["--budgets-accept=x"], "--budgets-accept: give --budgets-baseline=FOLDER beside it"),
        (
            ["--budgets-accept=", "--budgets-baseline=b"],
            "--budgets-accept: '' is not accepted; give the reason",
        ),
        (
            ["--budgets-accept=x", "--budgets-baseline=b", "-n", "1"],
            "--budgets-accept: nothing is timed under xdist; run without -n",
        ),
        (["--budgets-baseline=test_bad.py"], "--budgets-baseline: *test_bad.py is not a folder"),
        (["--budgets-file=none.toml"], "none.toml: No such file or directory"),
    ],
)
def test_bad_option_ends_the_run(pytester, run, options, message):
    pytester.makepyfile(test_bad=ONE)

    result = run("--device=cpu", *options)

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
