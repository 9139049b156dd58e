"""A clean and a faulty run of the simulated device: the comparison names what was planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_applesilicon.comparing import compare
from pytest_applesilicon.reports import document

pytest.importorskip("torch")


@pytest.fixture
def simulated(pytester, run):
    """Run a few operators on the simulated device; returns the report."""

    def made(name: str, *options: str):
        run(
            *("--device=mps-sim", "--pyargs", "pytest_applesilicon.suites.ops"),
            *("--ops=^(add|mul|cumsum|argmax)$", "--dtypes=int64,int16,float32"),
            *(f"--applesilicon-report={name}", *options),
        )
        return name, document.read(Path(pytester.path) / name)

    return made


def test_exactly_the_planted_faults_are_named_and_a_second_clean_run_differs_in_nothing(simulated):
    clean, again = simulated("clean.json"), simulated("again.json")
    faulty = simulated("faulty.json", "--faults=cumsum-integers-not-summed,argmax-integers-minimum")

    none, some = compare(clean, again), compare(clean, faulty)

    assert none.count("any") == 0
    assert none.compared > 20
    assert {(one.kind, one.what.partition(",")[0]) for one in some.operators} == {
        ("lost", "argmax"),
        ("lost", "cumsum"),
    }
    assert all(one.what.endswith(("int64", "int16")) for one in some.operators)
    assert some.count("any") == len(some.operators) == some.count("lost")
