"""A failed device test is run again for evidence, and stays failed."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("numpy_only")

SUITE = """
import pathlib
import pytest

calls = []

@pytest.fixture
def fresh():
    calls.append("made")
    yield len(calls)

def test_always(device, fresh):
    pathlib.Path("always").write_text(str(fresh))
    assert 1 == 2

def test_once(device):
    file = pathlib.Path("once")
    first = not file.exists()
    file.touch()
    assert not first

def test_differently(device):
    file = pathlib.Path("differently")
    number = len(file.read_text()) if file.exists() else 0
    file.write_text("x" * (number + 1))
    raise ValueError(number)

def test_passes(device):
    with open("passes", "a") as file: file.write("x")

def test_without_device():
    with open("without", "a") as file: file.write("x")
    assert False
"""


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["serial", "xdist"])
def test_repeats_are_recorded_and_the_verdict_stays(pytester, run, report, workers):
    pytester.makepyfile(SUITE)

    result = run("--device=cpu", "--repeat-failed=3", "--applesilicon-report=report.json", *workers)

    result.assert_outcomes(failed=4, passed=1)
    assert result.ret == 1
    found = {one["test_id"].partition("::")[2]: one["repeats"] for one in report()["records"]}
    assert found == {
        "test_always[cpu]": {"runs": 3, "failed": 3, "same": 3},
        "test_once[cpu]": {"runs": 3, "failed": 0, "same": 0},
        "test_differently[cpu]": {"runs": 3, "failed": 3, "same": 0},
        "test_passes[cpu]": None,
        "test_without_device": None,
    }
    result.stdout.fnmatch_lines_random(
        [
            "failed again in 3 of 3 repeats, the same way: deterministic",
            "failed again in 0 of 3 repeats, 0 of them the same way: not deterministic",
            "failed and repeated",
        ]
    )
    assert (pytester.path / "always").read_text() == "4"  # a new fixture each time
    assert (pytester.path / "passes").read_text() == "x"
    assert (pytester.path / "without").read_text() == "x"


def test_isolated_test_is_repeated_in_its_child(pytester, run, report):
    pytester.makepyfile(SUITE)

    run(
        "--device=cpu", "--repeat-failed=2", "--isolate=always", "--applesilicon-report=report.json"
    )

    found = {one["test_id"].partition("::")[2]: one["repeats"] for one in report()["records"]}
    assert found["test_always[cpu]"] == {"runs": 2, "failed": 2, "same": 2}
    assert found["test_passes[cpu]"] is None


def test_known_failure_is_not_repeated(pytester, run, report):
    pytester.makepyfile(test_it=SUITE)
    (pytester.path / "kf.toml").write_text(
        '[[known_failure]]\ntest = "test_it.py::test_always[cpu]"\nraises = "AssertionError"\n'
        'reason = "r"\ndate = 2026-11-21\n'
    )

    run("--device=cpu", "--repeat-failed=2", "--known-failures=kf.toml", "-k", "always")

    assert (pytester.path / "always").read_text() == "1"


def test_bad_number_is_named(pytester, run):
    pytester.makepyfile(SUITE)

    result = run("--repeat-failed=-1")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--repeat-failed: '-1' is not accepted; give a number from 0 to 999"]
    )


def test_wider_fixtures_end_before_another_module(pytester, run):
    module = """
        import pytest

        @pytest.fixture(scope="module", autouse=True)
        def wide():
            yield

        def test_fails(device): assert False
        """
    pytester.makepyfile(test_one=module, test_two=module)

    run("--device=cpu", "--repeat-failed=1").assert_outcomes(failed=2)
