"""suites/regressions passes on the simulated device, and its faults fail each of its tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults_regressions import FAULTS_OF

pytest.importorskip("torch")
pytest.importorskip("expecttest")

ROOT = Path(__file__).parents[2]

#: Those of size M take minutes: ``benchmarks/regression_faults.py`` runs them too.
SIZES = "S,L"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    output = tmp_path_factory.mktemp("faults") / "found.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "regression_faults.py"), "--own"]
    subprocess.run(
        [*command, f"--sizes={SIZES}", f"--output={output}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        timeout=900,
    )
    return json.loads(output.read_text())


def test_every_bug_has_faults():
    from pytest_applesilicon.suites.regressions.bugs import all_bugs

    assert set(FAULTS_OF) == set(all_bugs())
    assert all(FAULTS_OF.values())


def test_every_fault_is_built_in():
    from pytest_applesilicon.simulate import fault_names

    for specs in FAULTS_OF.values():
        for spec in specs:
            assert fault_names.load(spec, ROOT)[0].name == spec.partition("@")[0]


def test_no_test_fails_without_a_fault(found):
    assert len(found["sound"]) > 200
    assert {name: text for name, text in found["sound"].items() if text != "passed"} == {}


@pytest.mark.parametrize("bug", FAULTS_OF)
def test_faults_of_a_bug_fail_each_of_its_tests(bug, found):
    names = [name for name in found["sound"] if name == bug or name.startswith(bug + "-")]
    if not names:
        pytest.skip("its tests are of size M; benchmarks/regression_faults.py runs them")

    green = [name for name in names if name in found["unnoticed"]]

    assert green == []


def run(*args, folder):
    options = ["-p", "no:cacheprovider", "--device=mps-sim", "--mps-fallback=allow", *args]
    suite = ["--pyargs", "pytest_applesilicon.suites.regressions"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *suite],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_failure_tells_the_bug(tmp_path):
    result = run("--faults=addcdiv-inplace-strided-lost", "-k", "118115-addcdiv", folder=tmp_path)

    assert result.returncode == 1, result.stdout
    assert "pytorch-118115 is present: result 0 is wrong" in result.stdout
    assert "issue: https://github.com/pytorch/pytorch/issues/118115" in result.stdout
    assert "--faults=addcdiv-inplace-strided-lost" in result.stdout


def test_bug_that_ends_the_process_is_contained(tmp_path):
    result = run("--faults=cross-entropy-bus-error", "-k", "116095 or 78107", folder=tmp_path)

    assert result.returncode == 1, result.stdout
    assert "1 crashed" in result.stdout
    assert "5 passed" in result.stdout
    assert "SIGBUS" in result.stdout
