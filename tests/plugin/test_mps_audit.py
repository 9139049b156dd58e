"""``--mps-audit`` in a run: in one process, in workers, and what it refuses."""

from __future__ import annotations

import json
import sys

import pytest

pytest.importorskip("torch")

TESTS = """
import pytest
import torch


@pytest.fixture(scope="module")
def matrix():
    return torch.eye(3)


def test_native(matrix):
    assert torch.cumsum(matrix, 0).sum() == 6


def test_missing(matrix):
    torch.linalg.eig(matrix)


@pytest.mark.parametrize("size", range(4))
def test_several(size):
    torch.ones(size, dtype=torch.float64).sin()
"""


@pytest.fixture
def suite(pytester):
    pytester.makepyfile(test_it=TESTS)
    return pytester


def run(suite, *args):
    return suite.runpytest_subprocess("--mps-audit", "-p", "no:cacheprovider", *args)


def test_the_terminal_says_what_mps_lacks(suite):
    result = run(suite, "--mps-audit-torch=2.13")

    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        [
            "*= MPS audit =*",
            "*calls, *signatures of *operators, run on the CPU and judged for torch*",
            "no kernel on MPS (1)",
            "  aten::linalg_eig: 1 call, native in no release",
            "    at test_it.py:15",
            "    first in test_it.py::test_missing",
            "float64: no MPS has it (*",
            "no release in the catalog has everything used as native*",
        ]
    )


def test_what_may_not_be_found_fails_the_run(suite):
    result = run(suite, "--mps-audit-fail-on=fallback,unsupported")

    assert result.ret == 1
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["--mps-audit-fail-on: found unsupported"])
    assert run(suite, "--mps-audit-fail-on=fallback").ret == 0


def test_another_release_is_judged_otherwise(pytester):
    pytester.makepyfile("import torch\ndef test_it(): torch.linalg.eigvalsh(torch.eye(2))\n")
    old = run(pytester, "--mps-audit-torch=2.13", "--mps-audit-fail-on=unsupported")
    new = run(pytester, "--mps-audit-torch=2.14", "--mps-audit-fail-on=unsupported")

    assert (old.ret, new.ret) == (1, 0)
    new.stdout.fnmatch_lines(["*everything used is native: 2.14.0*"])


def test_workers_find_what_one_process_finds(suite):
    pytest.importorskip("xdist")

    def found(*args):
        run(suite, "--applesilicon-report=r.json", *args)
        audit = json.loads((suite.path / "r.json").read_text())["audit"]
        counted = ("release", "lowest", "calls", "signatures", "operators", "counts")
        uses = [(one["operator"], one["verdict"], one["calls"]) for one in audit["uses"]]
        return {name: audit[name] for name in counted}, sorted(uses), audit["lost"]

    alone, several = found(), found("-n2", "--dist=loadfile")

    assert several == alone
    assert alone[2] == []
    assert alone[0]["counts"]["unsupported"] == 1


def test_a_worker_that_dies_is_named(pytester):
    pytest.importorskip("xdist")
    pytester.makepyfile("import os, torch\ndef test_it(): torch.ones(1); os._exit(3)\n")

    result = run(pytester, "-n1", "--max-worker-restart=0")

    result.stdout.fnmatch_lines(["not heard of: gw0, which ended early"])


def test_the_report_shows_it_again(suite):
    run(suite, "--applesilicon-report=r.json")

    again = suite.run(sys.executable, "-m", "pytest_applesilicon.cli", "report", "r.json")

    again.stdout.fnmatch_lines(["MPS audit", "no kernel on MPS (1)", "  aten::linalg_eig: 1 call*"])


def test_the_calls_are_written_for_replay(suite):
    run(suite, "--mps-audit-signatures=calls.json")

    document = json.loads((suite.path / "calls.json").read_text())

    assert document["signatures_version"] == 1
    assert "aten::linalg_eig" in {one["operator"] for one in document["signatures"]}


def test_without_the_option_nothing_is_recorded(suite):
    result = suite.runpytest_subprocess("--applesilicon-report=r.json", "-p", "no:cacheprovider")

    assert "MPS audit" not in result.stdout.str()
    assert json.loads((suite.path / "r.json").read_text())["audit"] is None


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--mps-audit-torch=1.13"], "--mps-audit-torch: torch '1.13' is not in the catalog*"),
        (["--mps-audit-fail-on=everything"], "--mps-audit-fail-on: 'everything' is not accepted*"),
        (["--device=mps-sim"], "--mps-audit records what tests do on the CPU, and --device is*"),
        (["--mps-audit-signatures=no/where.json"], "--mps-audit-signatures: *no/where.json*"),
    ],
)
def test_what_it_refuses_stops_the_run(suite, args, message):
    result = run(suite, *args)

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{message}"])


def test_what_was_imported_is_left_to_the_collector_again_after_the_run(pytester):
    pytester.makeconftest(
        """
        import gc

        assert not gc.isenabled()

        def pytest_sessionstart():
            assert gc.get_freeze_count() > 0 and gc.isenabled()

        def pytest_configure(config):
            config.add_cleanup(lambda: print("kept at the end:", gc.get_freeze_count() > 0))
        """
    )
    pytester.makepyfile(
        """
        import gc, torch

        class Cycle:
            pass

        def test_garbage_of_a_test_is_collected():
            assert gc.get_freeze_count() > 0
            gc.collect()
            one = Cycle()
            one.itself = one
            del one
            assert gc.collect() > 0
            assert not any(isinstance(each, Cycle) for each in gc.get_objects())
        """
    )
    pytester.makepyfile(
        around="""
        import gc, pytest

        status = pytest.main(["--mps-audit", "-s"])
        print("status", int(status), "kept after it:", gc.get_freeze_count(), gc.isenabled())
        """
    )

    result = pytester.runpython("around.py")

    result.stdout.fnmatch_lines(["kept at the end: True", "status 0 kept after it: 0 True"])


def test_without_an_audit_the_collector_is_let_alone(pytester):
    pytester.makeconftest("import gc\nassert gc.isenabled() and not gc.get_freeze_count()")
    pytester.makepyfile(
        """
        import gc

        def test_the_collector_works():
            assert gc.isenabled() and not gc.get_freeze_count()
        """
    )

    result = pytester.runpytest_subprocess("--device=cpu")

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "option",
    ["--mps-audit-torch=2.6", "--mps-audit-fail-on=unsupported", "--mps-audit-signatures=a"],
)
def test_every_option_of_the_audit_asks_for_one(pytester, option):
    pytester.makeconftest("import gc\nassert not gc.isenabled()")
    pytester.makepyfile("import torch\n\ndef test_it():\n    torch.ones(2).sin()")

    result = pytester.runpytest_subprocess(option)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*MPS audit*", "operators: 2 native"])


def test_in_the_ini_file_an_option_of_the_audit_asks_for_one(pytester):
    pytester.makeini("[pytest]\napplesilicon_mps_audit_torch = 2.6")
    pytester.makepyfile("import torch\n\ndef test_it():\n    torch.ones(2).sin()")

    result = pytester.runpytest_subprocess()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*MPS audit*"])
