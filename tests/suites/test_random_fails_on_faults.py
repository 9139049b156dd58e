"""suites/ops/test_random.py passes on the CPU, and fails where random numbers are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults_random import FAULTS, OPTIONS, Fault
from test_suites_fail_on_faults import Suites

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("torch")
pytest.importorskip("expecttest")
pytest.importorskip("scipy")

FILES = ("ops/test_random.py",)


@pytest.fixture(scope="module")
def suites() -> Iterator[Suites]:
    started = Suites()
    yield started
    started.stop()


def test_random_operators_pass_without_faults(suites, tmp_path):
    found = suites.records(FILES, "", OPTIONS, cwd=tmp_path)

    assert len(found) == 12
    assert {record.outcome for record in found.values()} == {"passed"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_random_operators_fail_on(fault: Fault, suites, tmp_path):
    found = suites.records(FILES, fault.only, fault.options, cwd=tmp_path, fault=fault.name)

    starts = tuple(fault.fails)
    outcomes = {test: record.outcome for test, record in found.items()}
    assert outcomes == {
        test: "failed" if test.startswith(starts) else "passed" for test in found
    }, fault.what
    for start, says in fault.fails.items():
        reasons = [record.reason for test, record in found.items() if test.startswith(start)]
        assert reasons
        assert all(says in reason for reason in reasons), reasons
