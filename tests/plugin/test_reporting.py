"""What a run leaves: the JSON report, the summary, and nothing in anybody else's files."""

from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.usefixtures("numpy_only")

MIXED = """
import numpy as np
import sys

import pytest

def test_passes(device, applesilicon):
    applesilicon.measure("accuracy", np.float32(0.5))
    applesilicon.measure("rate", float("inf"), "TFLOPS")

def test_fails(device):
    assert 1 == 2, "two lines\\nof text"

def test_skips(device):
    pytest.skip("not today")

@pytest.mark.xfail(reason="known")
def test_xfails(device):
    assert False

@pytest.fixture
def broken():
    raise KeyError("broken")

def test_errors(device, broken):
    pass

@pytest.fixture
def broken_later():
    yield
    raise KeyError("later")

def test_errors_later(device, broken_later):
    pass

def test_without_a_device():
    pass
"""


def outcomes(document):
    return {
        record["test_id"].partition("::")[2]: record["outcome"] for record in document["records"]
    }


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["serial", "xdist"])
def test_report_holds_one_record_per_test(pytester, run, report, workers):
    pytester.makepyfile(MIXED)

    run("--device=cpu", "--applesilicon-report=report.json", *workers)

    document = report()
    assert document["schema_version"] == 1
    assert outcomes(document) == {
        "test_passes[cpu]": "passed",
        "test_fails[cpu]": "failed",
        "test_skips[cpu]": "skipped",
        "test_xfails[cpu]": "xfailed",
        "test_errors[cpu]": "error",
        "test_errors_later[cpu]": "error",
        "test_without_a_device": "passed",
    }


def test_records_are_the_same_serially_and_with_workers(pytester, run, report):
    pytester.makepyfile(MIXED)
    documents = []
    for workers in ([], ["-n", "2"]):
        run("--device=cpu", "--applesilicon-report=report.json", *workers)
        document = report()
        for record in document["records"]:
            record["duration_s"] = 0
        document["records"].sort(key=lambda record: record["test_id"])
        documents.append({**document, "created": ""})

    assert documents[0] == documents[1]


def test_record_tells_what_was_measured_and_why_a_test_failed(pytester, run, report):
    pytester.makepyfile(MIXED)

    run("--device=cpu", "--applesilicon-report=report.json")

    records = {record["test_id"].partition("::")[2]: record for record in report()["records"]}
    assert records["test_passes[cpu]"]["measurements"] == [
        {"name": "accuracy", "value": 0.5, "unit": "", "published": []},
        {"name": "rate", "value": "inf", "unit": "TFLOPS", "published": []},
    ]
    assert records["test_fails[cpu]"]["reason"] == "AssertionError: two lines"
    assert records["test_skips[cpu]"]["reason"] == "not today"
    assert records["test_xfails[cpu]"]["reason"] == "known"
    assert records["test_errors[cpu]"]["reason"] == "KeyError: 'broken'"


def test_summary_shows_outcomes_and_measurements(pytester, run):
    pytester.makepyfile(MIXED)

    result = run("--device=cpu")

    result.stdout.fnmatch_lines(
        [
            "*= applesilicon =*",
            "device  framework  tests  passed  failed  error  xfailed  skipped",
            "cpu     numpy          6       1       1      2        1        1",
            "none                   1       1       0      0        0        0",
            "measured *cpu",
            "accuracy *0.5",
            "rate *inf TFLOPS",
        ]
    )


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["serial", "xdist"])
def test_record_does_not_leak_into_junit_xml(pytester, run, workers):
    pytester.makepyfile(MIXED)

    run("--device=cpu", "--junit-xml=junit.xml", *workers)

    text = pytester.path.joinpath("junit.xml").read_text()
    assert "test_passes" in text
    assert "test_id" not in text


def test_properties_of_the_test_itself_stay(pytester, run):
    pytester.makepyfile(
        "def test_one(device, record_property):\n    record_property('mine', 'kept')\n"
    )

    run("--device=cpu", "--junit-xml=junit.xml")

    assert 'name="mine" value="kept"' in pytester.path.joinpath("junit.xml").read_text()


def test_worker_that_dies_leaves_a_crashed_record(pytester, run, report):
    pytester.makepyfile(
        "import os\ndef test_dies(device):\n    os.abort()\ndef test_lives(device):\n    pass\n"
    )

    result = run("--device=cpu", "-n", "1", "--applesilicon-report=report.json")

    assert result.ret == 1
    assert outcomes(report()) == {"test_dies[cpu]": "crashed", "test_lives[cpu]": "passed"}


def test_timing_of_a_benchmark_is_recorded_per_call(pytester, run, report):
    pytester.makepyfile(
        """
        import time
        def test_sleep(device, benchmark):
            benchmark.pedantic(time.sleep, args=(0.05,), rounds=4, iterations=2)
        """
    )

    run("--device=cpu", "--applesilicon-report=report.json")

    timing = report()["records"][0]["timing"]
    assert (timing["rounds"], timing["iterations"]) == (4, 2)
    assert 0.05 <= timing["min_s"] <= timing["median_s"] < 0.1


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["serial", "xdist"])
def test_default_device_under_workers_is_chosen_once_and_reported(pytester, run, workers):
    pytester.makeini("[pytest]\n")
    pytester.makepyfile(
        "import pytest\n@pytest.mark.parametrize('number', range(8))\n"
        "def test_one(device, number):\n    assert str(device) == 'cpu'\n"
    )

    result = run(*workers)

    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["cpu *8 *8"])


def test_report_can_be_shown_again_without_pytest(pytester, run):
    pytester.makepyfile(MIXED)
    run("--device=cpu", "--applesilicon-report=report.json")

    shown = pytester.run(sys.executable, "-m", "pytest_applesilicon.cli", "report", "report.json")

    assert shown.ret == 0
    shown.stdout.fnmatch_lines(["applesilicon *: device cpu;*", "cpu     numpy          6*"])


def test_report_of_another_kind_is_refused_in_one_line(pytester):
    pytester.path.joinpath("report.json").write_text("{}")

    shown = pytester.run(sys.executable, "-m", "pytest_applesilicon.cli", "report", "report.json")

    assert shown.ret == 1
    shown.stderr.fnmatch_lines(["Error: report.json: not an applesilicon report*"])


def test_interrupted_run_says_so_in_its_report(pytester, run, report):
    pytester.makepyfile(
        "def test_one(device):\n    pass\ndef test_two(device):\n    raise KeyboardInterrupt\n"
    )

    result = run("--device=cpu", "--applesilicon-report=report.json")

    assert result.ret == 2
    assert report()["exit_status"] == 2
    assert outcomes(report()) == {"test_one[cpu]": "passed"}


def test_benchmark_that_fails_at_its_first_call_is_a_failed_test(pytester, run, report):
    pytester.makepyfile("def test_one(device, benchmark):\n    benchmark(lambda: 1 / 0)\n")

    result = run("--device=cpu", "--applesilicon-report=report.json")

    assert result.ret == 1
    assert outcomes(report()) == {"test_one[cpu]": "failed"}


def test_reason_of_a_failure_is_its_first_line_that_says_something(pytester, run, report):
    pytester.makepyfile(
        "import numpy as np\ndef test_one(device):\n    np.testing.assert_array_equal([1], [2])\n"
    )

    run("--device=cpu", "--applesilicon-report=report.json")

    assert report()["records"][0]["reason"] == "AssertionError: Arrays are not equal"
