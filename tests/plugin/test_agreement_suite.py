"""The failure of a test of suites/agreement comes with a program that shows it again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest")

SPOILED = """
from pytest_applesilicon.agreement import calls

right = calls.on_device
calls.on_device = lambda call, args, kwargs: right(call, args, kwargs) + 1
"""


def test_the_program_of_a_failure_runs_the_test_again_and_fails(run, pytester):
    pytester.makepyfile(spoiled=SPOILED)
    test = "pytest_applesilicon.suites.agreement.test_mixed_dtypes::test_scalar"

    result = run(
        "--device=cpu", "-p", "spoiled", "--pyargs", test, "-k", "add-int32-float", "--seed=3"
    )

    result.assert_outcomes(failed=1, deselected=95)
    result.stdout.fnmatch_lines(
        [
            "*(int32[[]4, 5[]], 2.5), in float32: result 0 is wrong at *: actual *, expected *, oracle *"
        ]
    )
    lines = result.outlines
    start = next(at for at, line in enumerate(lines) if "- reproduce -" in line) + 1
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines[start : start + 3])],
        capture_output=True,
        text=True,
        check=False,
        cwd=pytester.path,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(pytester.path), "PYTEST_PLUGINS": "spoiled"},
    )
    assert done.returncode == 1, done.stderr
    assert "test_scalar[cpu-add-int32-float]" in done.stdout
    assert "1 failed" in done.stdout
    wrong = next(line for line in lines if "result 0 is wrong" in line)
    assert wrong in done.stdout
