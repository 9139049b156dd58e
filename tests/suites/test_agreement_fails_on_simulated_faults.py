"""Each test notices the built-in fault of the simulated device that is named for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults_simulated import FAULT_OF
from test_suites_fail_on_faults import Suites

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("torch")
pytest.importorskip("expecttest")


@pytest.fixture(scope="module")
def suites() -> Iterator[Suites]:
    started = Suites("mps-sim")
    yield started
    started.stop()


def outcomes(suites: Suites, file: str, names: str, folder: Path, *options: str) -> dict[str, str]:
    """The outcome of each test of a file of the agreement suite, by its id in that file."""
    allow = ("--mps-fallback=allow", *options)
    found = suites.records((f"agreement/{file}",), names, allow, cwd=folder)
    assert {record.device for record in found.values()} == {"mps-sim"}
    return {test.removeprefix(f"agreement/{file}::"): one.outcome for test, one in found.items()}


@pytest.mark.parametrize("test", FAULT_OF)
def test_fault_is_noticed(test: str, suites: Suites, tmp_path: Path) -> None:
    file, _, name = test.partition("::")
    found = outcomes(suites, file, name, tmp_path, f"--faults={FAULT_OF[test]}")

    failed = {one.partition("[")[0] for one, outcome in found.items() if outcome == "failed"}
    assert name in failed


@pytest.mark.parametrize("file", sorted({test.partition("::")[0] for test in FAULT_OF}))
def test_nothing_fails_without_a_fault(file: str, suites: Suites, tmp_path: Path) -> None:
    names = [test.partition("::")[2] for test in FAULT_OF if test.startswith(file)]
    found = outcomes(suites, file, " or ".join(names), tmp_path)

    assert {one.partition("[")[0] for one in found} >= set(names)
    assert set(found.values()) <= {"passed", "skipped"}
    assert "passed" in found.values()
