"""Each test notices the built-in fault of the simulated device that is named for it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from faults_simulated import FAULT_OF

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("torch")
pytest.importorskip("expecttest")

SUITE = "pytest_applesilicon.suites.agreement"


def run(test: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    file, _, name = test.partition("::")
    module = f"{SUITE}.{file.removesuffix('.py')}"
    chosen = ["--device=mps-sim", "--mps-fallback=allow", "-k", name, *options]
    plain = ["-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plain, *chosen, "--pyargs", module],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("test", FAULT_OF)
def test_fault_is_noticed(test: str, tmp_path: Path) -> None:
    result = run(test, tmp_path, f"--faults={FAULT_OF[test]}")

    assert result.returncode == 1, result.stdout
    assert test.partition("::")[2] in result.stdout.partition("short test summary")[2]


@pytest.mark.parametrize("file", sorted({test.partition("::")[0] for test in FAULT_OF}))
def test_nothing_fails_without_a_fault(file: str, tmp_path: Path) -> None:
    names = [test.partition("::")[2] for test in FAULT_OF if test.startswith(file)]
    result = run(f"{file}::{' or '.join(names)}", tmp_path)

    assert result.returncode == 0, result.stdout
