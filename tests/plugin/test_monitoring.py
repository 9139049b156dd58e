"""``--monitor`` during a run, serial and with workers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("psutil")
pytestmark = pytest.mark.usefixtures("numpy_only")

TESTS = """
import time

def test_holds_memory(device):
    held = bytearray(b"x") * (200 * 2**20)
    time.sleep(0.6)
    assert held

def test_holds_nothing(device):
    time.sleep(0.3)
"""


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["serial", "xdist"])
def test_samples_name_the_test_that_ran(pytester, run, report, workers):
    pytester.makepyfile(test_memory=TESTS)

    result = run("--monitor=0.05", "--applesilicon-report=report.json", *workers)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["monitor: *samples in * s", "memory *MB", "CPU *%"])
    found = report()["samples"]
    by_test = {}
    for one in found:
        by_test.setdefault(one["test"], []).append(one["resident_bytes"])
    assert {
        "test_memory.py::test_holds_memory[cpu]",
        "test_memory.py::test_holds_nothing[cpu]",
    } <= set(by_test)
    most = {test: max(sizes) for test, sizes in by_test.items()}
    grown = (
        most["test_memory.py::test_holds_memory[cpu]"]
        - most["test_memory.py::test_holds_nothing[cpu]"]
    )
    assert grown > 150 * 2**20
    assert {one["worker"] for one in found} == ({"gw0"} if workers else {""})


def test_without_a_number_it_samples_every_second(pytester, run, report):
    pytester.makepyfile("def test_one(device):\n    pass\n")

    run("--applesilicon-report=report.json", "--monitor").assert_outcomes(passed=1)

    assert report()["settings"]["monitor"] == "1"


def test_without_monitoring_there_is_no_sample(pytester, run, report):
    pytester.makepyfile("def test_one(device):\n    pass\n")

    run("--applesilicon-report=report.json").assert_outcomes(passed=1)

    assert report()["samples"] == []


@pytest.mark.parametrize("value", ["0", "fast", "-1", "0.01"])
def test_interval_that_is_not_accepted(pytester, run, value):
    pytester.makepyfile("def test_one(): pass\n")

    result = run(f"--monitor={value}")

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: --monitor: '{value}' is not accepted; give seconds *"])


def test_picture_of_a_report(pytester, run):
    pytester.makepyfile(test_memory=TESTS)
    run("--monitor=0.1", "--applesilicon-report=report.json")
    command = [sys.executable, "-m", "pytest_applesilicon.cli", "report", "report.json"]

    done = subprocess.run([*command, "--picture=p.svg"], cwd=pytester.path, capture_output=True)

    assert done.returncode == 0, done.stderr
    assert (pytester.path / "p.svg").read_text().count("<polyline") == 2


def test_picture_without_samples_is_one_clear_error(pytester, run):
    pytester.makepyfile("def test_one(device):\n    pass\n")
    run("--applesilicon-report=report.json")
    command = [sys.executable, "-m", "pytest_applesilicon.cli", "report", "report.json"]

    done = subprocess.run([*command, "--picture=p.svg"], cwd=pytester.path, capture_output=True)

    assert done.returncode == 1
    assert done.stderr.decode().endswith("it has no samples; run with --monitor\n")
    assert json.loads((pytester.path / "report.json").read_text())
