"""Runs on the simulated MPS device: ``--device=mps-sim``."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is written for Linux")

NOTICE = "simulated: operators, dtypes, placement and syncs; not Metal numerics, speed or memory"


def test_the_device_is_mps_and_everything_says_that_it_is_simulated(pytester, run, report):
    pytester.makepyfile(
        """
        import torch
        def test_device(device):
            assert device == torch.device("mps:0")
            assert torch.ones(3, device=device).device == device
        """
    )
    result = run("--device=mps-sim", "--applesilicon-report=report.json")

    assert result.ret == 0
    assert result.stdout.str().replace("\n  ", " ").count(NOTICE) == 2
    document = report()
    assert document["simulated"] is True
    assert document["targets"][0]["health"]["simulated"] is True
    (record,) = document["records"]
    assert (record["device"], record["simulated"]) == ("mps-sim", True)
    assert record["activity"]["operators"]["aten::fill_.Scalar"] == 1


def test_requires_mps_runs_and_physical_does_not(pytester, run):
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.requires_mps
        def test_any(device): pass
        @pytest.mark.requires_mps(physical=True)
        def test_physical(device): pass
        @pytest.mark.skip_on_device("mps", reason="not there")
        def test_skipped(device): pass
        """
    )
    result = run("--device=mps-sim", "-rs")

    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["*needs a physical Mac, and this device is simulated"])


def test_too_many_syncs(pytester, run):
    pytester.makepyfile(
        """
        import pytest, torch
        @pytest.mark.max_host_syncs(1)
        def test_waits(device):
            x = torch.ones(3, device=device)
            for i in range(3):
                if x[i] > 0:
                    pass
        @pytest.mark.max_host_syncs(1)
        def test_once(device):
            assert torch.ones(3, device=device).sum().item() == 3
        """
    )
    result = run("--device=mps-sim")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "max_host_syncs(1): the host waited for the device 3 times:",
            "  3 x item at *py:6 in test_waits",
        ]
    )
    result.stdout.re_match_lines([r"host synchronisation +calls +tests", r"item at .*:6 .* 3 +1"])


@pytest.mark.parametrize("argument", ["-1", "'x'", "", "1, 2"])
def test_a_wrong_limit_is_refused(pytester, run, argument):
    pytester.makepyfile(
        f"""
        import pytest
        @pytest.mark.max_host_syncs({argument})
        def test_it(): pass
        """
    )
    result = run("--device=mps-sim")

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*marker max_host_syncs:*", "*accepted: max_host_syncs(n: int)"])


@pytest.mark.parametrize(("choice", "outcome"), [("error", "failed"), ("allow", "passed")])
@pytest.mark.parametrize("workers", ["", "-n1"])
def test_the_fallback_is_switched(pytester, run, choice, outcome, workers):
    pytester.makepyfile(
        """
        import os, torch
        def test_missing(device):
            torch.linalg.eigvals(torch.eye(2, device=device))
        def test_child_processes_are_told(device):
            print("said", os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK", "0"))
        """
    )
    # A setting that the plugin makes itself is no warning of a useless one.
    strict = ["-W", "error::pytest_applesilicon.UselessSettingWarning", "-rP"]
    result = run("--device=mps-sim", f"--mps-fallback={choice}", *strict, *filter(None, [workers]))

    result.assert_outcomes(passed=1 + (outcome == "passed"), failed=int(outcome == "failed"))
    result.stdout.fnmatch_lines([f"said {int(choice == 'allow')}"])
    if choice == "allow":
        result.stdout.re_match_lines([r"fallback to the CPU +calls +tests", "aten::_linalg_eig.*"])


def test_a_conftest_that_runs_a_backward_pass_is_too_late_to_disturb(pytester, run):
    pytester.makeconftest(
        "import torch\nx = torch.ones(1, requires_grad=True)\n(x * 2).sum().backward()\n"
    )
    pytester.makeini("[pytest]\napplesilicon_device = mps-sim\n")
    pytester.makepyfile(
        """
        import torch
        def test_backward(device):
            x = torch.ones(1, device=device, requires_grad=True)
            (x * 2).sum().backward()
            assert x.grad.item() == 2
        """
    )
    run().assert_outcomes(passed=1)


def test_a_backward_pass_before_the_installation_ends_the_run_with_the_reason(pytester, run):
    pytester.makepyfile(
        early="import torch\nx = torch.ones(1, requires_grad=True)\n(x * 2).sum().backward()\n",
        test_it="def test_it(device): pass",
    )
    pytester.syspathinsert()
    result = run("-p", "early", "--device=mps-sim")

    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["*device mps-sim is absent*a backward pass has already run*", "*remedy: --mps-audit*"]
    )


def test_a_torch_that_was_imported_early_may_still_fall_back(pytester, run):
    pytester.makepyfile(
        early="import torch",
        test_it="""
        import torch
        def test_it(device): torch.linalg.eigvals(torch.eye(2, device=device))
        """,
    )
    pytester.syspathinsert()
    strict = ["-W", "error::pytest_applesilicon.UselessSettingWarning"]
    result = run("-p", "early", "--device=mps-sim", "--mps-fallback=allow", *strict)

    result.assert_outcomes(passed=1)


def test_the_cpu_and_the_simulated_device_run_side_by_side(pytester, run, report):
    pytester.makepyfile("import torch\ndef test_it(device): torch.ones(2, device=device).sum()")
    result = run("--device=cpu,mps-sim", "--applesilicon-report=report.json")

    result.assert_outcomes(passed=2)
    records = {record["device"]: record for record in report()["records"]}
    assert [records[name]["simulated"] for name in ("cpu", "mps-sim")] == [False, True]
    assert records["cpu"]["activity"] is None


def test_another_framework_has_no_such_device(pytester, run):
    pytester.makepyfile("def test_it(device): pass")
    result = run("--device=mps-sim", "--framework=numpy")

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*device mps-sim is absent for numpy*"])
