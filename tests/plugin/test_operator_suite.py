"""suites/ops as it is run: ids, what narrows it, outcomes in the report, exit status."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest")

SUITE = ["--pyargs", "pytest_applesilicon.suites.ops", "--device=cpu"]


def test_ids_name_device_dtype_and_operator(run):
    result = run(*SUITE, "--ops=^nn.functional.gelu$", "--dtypes=float32", "--collect-only", "-q")

    names = {line.partition("::")[2] for line in result.outlines if "::" in line}
    assert names == {
        "test_forward[cpu-float32-nn.functional.gelu]",
        "test_gradient[cpu-float32-nn.functional.gelu]",
        "test_out[cpu-float32-nn.functional.gelu]",
    }


def test_directions_an_operator_lacks_have_no_test(run):
    result = run(*SUITE, "--ops=^add$", "--dtypes=int64", "--collect-only", "-q")

    names = {line.partition("::")[2] for line in result.outlines if "::" in line}
    assert names == {
        "test_forward[cpu-int64-add]",
        "test_inplace[cpu-int64-add]",
        "test_out[cpu-int64-add]",
    }


def test_random_operators_have_tests_of_their_own(run):
    result = run(*SUITE, "--ops=^(randn|randperm)$", "--dtypes=float16", "--collect-only", "-q")

    names = {line.partition("::")[2] for line in result.outlines if "::" in line}
    assert names == {
        "test_forward[cpu-float16-randn]",
        "test_out[cpu-float16-randn]",
        "test_distribution[cpu-float16-randn]",
        "test_distribution[cpu-float16-randperm]",
        "test_reproducible[cpu-float16-randn]",
        "test_reproducible[cpu-float16-randperm]",
    }


def test_missing_scipy_is_a_visible_skip_that_names_the_extra(run, pytester):
    pytester.makepyfile(no_scipy="import sys\nsys.modules['scipy'] = None")
    options = ["--ops=^randn$", "--dtypes=float32", "-k", "distribution or reproducible"]

    result = run(*SUITE, *options, "-rs", "-p", "no_scipy")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * judged by SciPy: pip install *applesilicon?suites?*"])


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["serial", "xdist"])
def test_outcomes_are_counted_and_recorded(run, report, workers):
    result = run(
        *SUITE,
        "--ops=^(add|exp)$",
        "--dtypes=float32",
        "--samples=1",
        "--applesilicon-report=report.json",
        *workers,
    )

    assert result.ret == 0
    result.stdout.fnmatch_lines(["operators on cpu  native", "pointwise *", "all *"])
    found = {record["test_id"]: record["operator"] for record in report()["records"]}
    one = found["suites/ops/test_operators.py::test_forward[cpu-float32-exp]"]
    assert (one["operator"], one["dtype"], one["direction"]) == ("exp", "float32", "forward")
    assert (one["outcome"], one["samples"]) == ("native", 1)


SPOILED = """
from pytest_applesilicon.agreement import sample_runs

def on_device(self, call, args, kwargs, ran_on_cpu, right=sample_runs.Run._on_device):
    if self.operator.name == "exp":
        raise NotImplementedError(
            "The operator 'aten::exp' is not currently implemented for the MPS device."
        )
    result = right(self, call, args, kwargs, ran_on_cpu)
    return result + 1 if self.operator.name == "add" else result

sample_runs.Run._on_device = on_device
"""


def test_unsupported_is_a_visible_skip_and_wrong_a_failure(run, pytester, report):
    pytester.makepyfile(spoiled=SPOILED)
    options = ["--ops=^(add|exp|sin)$", "--dtypes=float32", "-k", "forward", "-p", "spoiled"]

    result = run(*SUITE, *options, "-rs", "--applesilicon-report=report.json")

    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "operators on cpu  native  unsupported  wrong",
            "SKIPPED * unsupported: NotImplementedError: The operator 'aten::exp' is not *",
        ]
    )
    outcomes = {
        one["operator"]["operator"]: one["operator"]["outcome"] for one in report()["records"]
    }
    assert outcomes == {"add": "wrong", "exp": "unsupported", "sin": "native"}


def test_unsupported_fails_where_that_is_asked_for(run, pytester):
    pytester.makepyfile(spoiled=SPOILED)
    options = ["--ops=^exp$", "--dtypes=float32", "-k", "forward", "-p", "spoiled"]

    result = run(*SUITE, *options, "--fail-on=unsupported")

    result.assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--ops=(", "--ops: '(' is not accepted; give a regular expression: *"),
        ("--dtypes=float64", "--dtypes: 'float64' is not accepted; give one of: float32, *"),
        ("--samples=0", "--samples: '0' is not accepted; give all, or a number from 1"),
        ("--fail-on=slow", "--fail-on: 'slow' is not accepted; give one of: wrong, crashed*"),
    ],
)
def test_option_with_a_value_that_is_not_accepted(run, option, message):
    result = run(*SUITE, option)

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
