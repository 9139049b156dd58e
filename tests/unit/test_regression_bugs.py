"""The table of reported bugs, their functions, and what a failure says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from pytest_applesilicon.suites.regressions import bugs, registry, test_regressions  # noqa: E402
from pytest_applesilicon.suites.regressions.case import Case, MissingOperator  # noqa: E402

from pytest_applesilicon.agreement import calls  # noqa: E402

HEADER = "bug\tsize\tcrashes\toperator\ttrigger\ttitle\tissues\tversions\n"
ROW = "pytorch-1\tS\tno\tadd\talways\tadd is wrong\tpytorch#1,kornia#2\t2.13\n"


def test_table_holds_107_bugs_and_each_has_a_function():
    found = bugs.all_bugs()

    assert len(found) == 107
    assert {one.bug.name for one in registry.regressions().values()} == set(found)


def test_names_and_addresses_come_from_the_first_issue():
    for bug in bugs.all_bugs().values():
        assert bug.name == bug.issues[0].replace("#", "-")
        assert bug.url.startswith("https://github.com/")
    assert bugs.url("keras#23661") == "https://github.com/keras-team/keras/issues/23661"


def test_every_large_test_says_what_memory_it_takes():
    for one in registry.regressions().values():
        assert (one.needs is not None) == (one.bug.size == "L"), one.name


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROW.replace("\tS\t", "\tXL\t"), "pytorch-1: size is 'XL'; give S, M, L"),
        (ROW.replace("\tno\t", "\tmaybe\t"), "pytorch-1: crashes is 'maybe'; give yes, no"),
        (ROW + ROW, "pytorch-1: the row is there twice"),
        (ROW.replace("\t2.13", ""), "wrong number of fields"),
    ],
)
def test_wrong_row_is_named(rows, says):
    with pytest.raises(ValueError, match=says):
        bugs.parse(HEADER + rows)


def test_row_becomes_a_bug():
    (bug,) = bugs.parse("# a comment\n" + HEADER + ROW).values()

    assert bug.issues == ("pytorch#1", "kornia#2")
    assert not bug.crashes


def test_two_functions_of_one_test_are_refused():
    registry.regressions()
    with pytest.raises(ValueError, match="pytorch-122016 has two functions"):
        registry.regression("pytorch-122016")(lambda case: None)


def test_check_fails_on_a_wrong_result(monkeypatch):
    right = calls.on_device
    monkeypatch.setattr(calls, "on_device", lambda *given: right(*given) * 1.001)

    with pytest.raises(AssertionError, match="result 0 is wrong"):
        Case("cpu").check(torch.exp, torch.ones(2))
    with pytest.raises(AssertionError, match="result 0 is wrong"):
        Case("cpu").check_as(torch.exp, torch.exp, torch.ones(2))


def test_check_module_fails_on_a_wrong_result(monkeypatch):
    right = calls.on_device
    monkeypatch.setattr(
        calls, "on_device", lambda *given: (right(*given)[0] * 1.001, *right(*given)[1:])
    )

    with pytest.raises(AssertionError, match="Linear: forward in float32") as caught:
        Case("cpu").check_module(torch.nn.Linear(2, 2), torch.ones(1, 2))
    assert "sample:" not in str(caught.value)


def test_exception_of_the_device_is_what_is_wrong():
    def call(x):
        raise RuntimeError("command buffer exited\nwith a long text")

    with pytest.raises(AssertionError, match=r"raised RuntimeError: command buffer exited$"):
        Case("cpu").given(call, torch.ones(2))


def test_missing_operator_is_no_bug():
    def call(x):
        raise NotImplementedError(
            "The operator 'aten::foo' is not currently implemented for the MPS device. If you"
        )

    with pytest.raises(MissingOperator, match="aten::foo is not implemented for MPS"):
        Case("cpu").given(call, torch.ones(2))


def test_what_the_host_refuses_must_be_refused(monkeypatch):
    def call(x):
        raise IndexError("out of range")

    Case("cpu").refused(call, torch.ones(2))
    monkeypatch.setattr(calls, "on_device", lambda call, args, kwargs: args[0])

    with pytest.raises(AssertionError, match=r"gave \[1.0, 1.0\]; the CPU raises IndexError: out"):
        Case("cpu").refused(call, torch.ones(2))


def test_what_the_host_accepts_is_no_refusal():
    with pytest.raises(AssertionError, match="the check is wrong"):
        Case("cpu").refused(torch.exp, torch.ones(2))


@pytest.mark.parametrize(
    ("memory", "says"),
    [
        (8 * 2**30, "a host of 19 GiB is needed, this one has 8.0 GiB"),
        (None, "takes 14.0 GiB, and the memory of this host is not known"),
    ],
)
def test_large_test_needs_memory(memory, says):
    found = registry.regressions()["pytorch-197636"]

    with pytest.raises(pytest.skip.Exception) as caught:
        test_regressions.require_memory(found, 2**32, memory)
    assert says in str(caught.value)


def test_large_test_runs_where_its_limit_is_small():
    found = registry.regressions()["pytorch-197636"]

    test_regressions.require_memory(found, 2**16, 8 * 2**30)
    test_regressions.require_memory(found, 2**32, 64 * 2**30)
    test_regressions.require_memory(registry.regressions()["pytorch-122016"], 2**32, None)


def test_failure_tells_bug_issue_finding_and_three_lines():
    found = registry.regressions()["pytorch-118115-addcmul_"]
    settings = SimpleNamespace(seed=3, regression_size="S", regression_limit=2**32, faults=())
    asking = SimpleNamespace(settings=settings, spec="mps")
    program = test_regressions.reproduction("test_regression[mps-pytorch-118115-addcmul_]", asking)

    text = test_regressions.told(found, "result 0 is wrong", program)

    assert text.startswith("pytorch-118115 is present: result 0 is wrong\n")
    assert "issue: https://github.com/pytorch/pytorch/issues/118115 (also" in text
    assert "here addcmul_" in text
    assert "def written_into_transposed" in text
    assert len(program.splitlines()) == 3
    assert "'--device=mps', '--seed=3'" in program
    compile(program, "program", "exec")
