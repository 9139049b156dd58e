"""``--faults``: faults of the simulated device, switched on by name."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is written for Linux")

FROZEN = "pointwise-inplace-strided-lost"

SUITE = """
    import torch
    def test_transposed(device):
        x = torch.ones(4, 3, device=device).t()
        x.add_(1)
        assert x.sum().cpu() == 24
    def test_plain(device):
        assert torch.ones(3, device=device).add_(1).sum().cpu() == 6
"""

OWN = """
    from pytest_applesilicon import Call, Fault
    def doubled(call: Call):
        return call.run(*call.args, **call.kwargs) * 2
    FAULTS = [Fault("doubled", "aten::exp", lambda call: True, doubled, "exp is twice itself")]
"""


def test_a_faulty_run_says_so_in_header_records_and_summary(pytester, run, report):
    pytester.makepyfile(SUITE)
    result = run("--device=mps-sim", f"--faults={FROZEN}", "--applesilicon-report=report.json")

    result.assert_outcomes(passed=1, failed=1)
    assert result.stdout.str().count(f"FAULT switched on: {FROZEN}: ") == 2
    document = report()
    assert document["settings"]["faults"] == FROZEN
    assert {
        record["test_id"].partition("::")[2]: record["outcome"] for record in document["records"]
    } == {
        "test_transposed[mps-sim]": "failed",
        "test_plain[mps-sim]": "passed",
    }
    assert [record["faults"] for record in document["records"]] == [[FROZEN], [FROZEN]]


def test_a_run_without_faults_says_nothing_of_them(pytester, run, report):
    pytester.makepyfile(SUITE)
    result = run("--device=mps-sim", "--applesilicon-report=report.json")

    result.assert_outcomes(passed=2)
    assert "FAULT" not in result.stdout.str()
    assert [record["faults"] for record in report()["records"]] == [[], []]


def test_faults_reach_the_workers_of_xdist(pytester, run, report):
    pytester.makepyfile(SUITE)
    result = run(
        "--device=mps-sim", f"--faults={FROZEN}", "-n", "2", "--applesilicon-report=report.json"
    )

    result.assert_outcomes(passed=1, failed=1)
    assert [record["faults"] for record in report()["records"]] == [[FROZEN], [FROZEN]]


def test_the_ini_key_does_the_same(pytester, run):
    pytester.makepyfile(SUITE)
    pytester.makeini(f"[pytest]\napplesilicon_device = mps-sim\napplesilicon_faults = {FROZEN}\n")

    run().assert_outcomes(passed=1, failed=1)


def test_a_file_of_ones_own_faults(pytester, run):
    pytester.makepyfile(own_faults=OWN)
    pytester.makepyfile(
        """
        import torch
        def test_exp(device):
            assert torch.zeros(1, device=device).exp().cpu() == 1
        """
    )

    result = run("--device=mps-sim", "--faults=own_faults.py")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["FAULT switched on: doubled: exp is twice itself"])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            ["--device=mps-sim", "--faults=stale-numbers"],
            "ERROR: --faults: 'stale-numbers' is no fault; near names: stale-number*",
        ),
        (
            ["--device=cpu", "--faults=stale-number"],
            "ERROR: --faults: 'stale-number' is accepted only with --device=mps-sim, and this is --device=cpu",
        ),
        (
            ["--device=cpu", "--faults=each"],
            "ERROR: --faults=each: only with --device=mps-sim, and this is 'cpu'",
        ),
        (
            ["--device=mps-sim", "--faults=stale-number@3"],
            "ERROR: --faults: 'stale-number@3' is not accepted; stale-number has no limit",
        ),
        (
            ["--device=mps-sim", "--faults=cat-output-limit@x"],
            "ERROR: --faults: 'cat-output-limit@x' is not accepted; the limit is a whole number from 1",
        ),
        (
            ["--device=mps-sim", "--faults=none.py"],
            "ERROR: --faults: *none.py: there is no such file",
        ),
        (
            ["--device=mps-sim", "--faults=broken.py"],
            "ERROR: --faults: *broken.py: cannot be loaded: SyntaxError: *",
        ),
        (
            ["--device=mps-sim", "--faults=without.py"],
            "ERROR: --faults: *without.py: has no FAULTS, a list of pytest_applesilicon.Fault",
        ),
        (
            ["--device=mps-sim", "--faults=wrong.py"],
            "ERROR: --faults: *wrong.py: FAULTS[[]0] is a str, not a pytest_applesilicon.Fault",
        ),
    ],
)
def test_bad_input_is_one_error(pytester, run, options, error):
    pytester.makepyfile(SUITE)
    for name, text in (("broken", "FAULTS = ["), ("without", "x = 1"), ("wrong", "FAULTS = ['a']")):
        (pytester.path / f"{name}.py").write_text(text)

    result = run(*options)

    assert result.ret == 4
    result.stderr.fnmatch_lines([error])
    assert "Traceback" not in result.stderr.str()
    assert result.stderr.str().count("ERROR") == 1


def test_help_lists_every_fault_and_runs_no_test(pytester, run, monkeypatch):
    from pytest_applesilicon.simulate.fault_families import BUILT_IN

    monkeypatch.setenv("COLUMNS", "80")
    pytester.makepyfile("raise RuntimeError('collected')")
    result = run("--faults=help")

    assert result.ret == 0
    text = result.stdout.str()
    assert [name for name in BUILT_IN if f"  {name}: " not in text] == []
    assert max(map(len, text.splitlines())) <= 80


def few_faults(pytester, names, least_s):
    """A plugin that leaves some of the built-in faults and changes the time limit."""
    pytester.makepyfile(
        few=f"""
        from pytest_applesilicon.simulate import fault_families
        from pytest_applesilicon import each_fault
        fault_families.BUILT_IN = {{name: fault_families.BUILT_IN[name] for name in {names}}}
        each_fault._AT_LEAST_S = {least_s}
        each_fault._TIMES = 0.0
        """
    )
    return ("-p", "few", "--device=mps-sim", "--faults=each")


def test_each_runs_every_fault_in_a_run_of_its_own(pytester, run):
    pytester.makepyfile(
        SUITE
        + """
    def test_product(device):
        assert (torch.ones(2, 2, device=device) @ torch.ones(2, 2, device=device)).sum().cpu() == 8
    """
    )
    result = run(*few_faults(pytester, (FROZEN, "crash-matmul", "rsub-rounded"), 100))

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "without a fault: passed in *",
            "[[]3/3] *",
            "pointwise-inplace-strided-lost  caught      1  *",
            "crash-matmul  * crashed * SIGABRT",
            "rsub-rounded  * not caught",
            "3 faults: 1 caught, 1 crashed, 1 not caught",
        ]
    )


def test_a_hang_is_an_outcome_of_each(pytester, run):
    pytester.makepyfile(
        """
        import torch
        def test_softmax(device):
            assert torch.ones(2, device=device).softmax(0).sum().cpu() == 1
        """
    )
    result = run(*few_faults(pytester, ("hang-softmax",), 20))

    assert result.ret == 0
    result.stdout.fnmatch_lines(["hang-softmax  hung * no end after *", "1 faults: 1 hung"])


def test_each_needs_tests_that_pass_without_a_fault(pytester, run):
    pytester.makepyfile("def test_fails(device): assert False")
    result = run("--device=mps-sim", "--faults=each")

    assert result.ret == 4
    result.stdout.fnmatch_lines(["ERROR: without a fault the run is: caught, *test_fails*"])
