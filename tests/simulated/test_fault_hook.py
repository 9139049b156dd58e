"""A fault reaches every kind of kernel, and what it computes is what the caller sees."""

from __future__ import annotations

import pytest
import torch

from pytest_applesilicon.simulate import faults


def fault(op, corrupt, when=lambda call: True):
    return faults.Fault("test", op, when, corrupt, "a test")


def test_a_wrong_result_reaches_the_caller_while_the_fault_is_on():
    x = torch.ones(3, device="mps")
    with faults.activate(
        fault("aten::add.Tensor", lambda call: call.run(*call.args, **call.kwargs) + 1)
    ):
        assert (x + x).tolist() == [3, 3, 3]
    assert (x + x).tolist() == [2, 2, 2]


def test_a_lost_write_in_place_is_seen():
    x = torch.ones(3, device="mps")
    with faults.activate(fault("aten::add_.Tensor,aten::mul_*", lambda call: call.args[0])):
        x.add_(1)

    assert x.tolist() == [1, 1, 1]


def test_an_out_that_the_fault_writes_is_seen():
    out = torch.zeros(3, device="mps")
    with faults.activate(
        fault("aten::add.out", lambda call: call.run(*call.args, **call.kwargs).neg_())
    ):
        torch.add(torch.ones(3, device="mps"), 1, out=out)

    assert out.tolist() == [-2, -2, -2]


def test_a_view_with_a_wrong_offset_still_views_the_device():
    x = torch.arange(4.0, device="mps")
    ignore = fault("aten::as_strided", lambda call: call.run(*call.args[:3], 0))
    with faults.activate(ignore):
        view = x[2:]
    view.fill_(9)

    assert x.tolist() == [9, 9, 2, 3]


def test_a_call_shows_strides_and_storage_offset_of_the_device():
    seen = []

    def look(call):
        seen.append((call.name, call.args[0].stride(), call.args[0].storage_offset()))
        return call.run(*call.args, **call.kwargs)

    x = torch.arange(12.0, device="mps").reshape(3, 4)
    with faults.activate(fault("aten::exp", look)):
        x.t()[1:].exp()

    assert seen == [("aten::exp", (1, 4), 1)]


def test_the_condition_decides():
    only_empty = fault("aten::*", lambda call: call.args[0], lambda call: call.name == "aten::neg")
    with faults.activate(only_empty):
        assert torch.ones(1, device="mps").neg().item() == 1
        assert torch.ones(1, device="mps").exp().item() != 1


@pytest.mark.parametrize("name", ["copy_", "_local_scalar_dense"])
def test_memory_operators_can_be_faulty(name):
    x = torch.ones(2, device="mps")
    with faults.activate(fault(f"aten::{name}", lambda call: 7 if "scalar" in name else None)):
        found = x[0].item() if "scalar" in name else torch.zeros(2).copy_(x).sum().item()

    assert found == (7 if "scalar" in name else 0)
