"""A kernel that reads past its arguments is told from one that does not."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")


@pytest.fixture
def unchecked(program):
    return program("unchecked_shapes")


def past_its_end(x: Any) -> Any:
    return x.as_strided((x.numel() + 1,), (1,), x.storage_offset()).sum()


def before_its_start(x: Any, indices: Any) -> Any:
    return x[indices.as_strided((1,), (1,), indices.storage_offset() - 1)]


@pytest.mark.parametrize(
    ("call", "args"),
    [
        (past_its_end, (torch.ones(3),)),
        (past_its_end, (torch.ones(3, dtype=torch.int64),)),
        (before_its_start, (torch.arange(5.0), torch.tensor([1, 2]))),
        (before_its_start, (torch.arange(1.0), torch.tensor([0, 0]))),
    ],
)
def test_what_reads_beside_its_arguments_is_found(unchecked, call, args):
    assert unchecked.depends(call, args, {})


@pytest.mark.parametrize(
    ("call", "args"),
    [
        (torch.sum, (torch.randn(1000),)),
        (torch.sin, (torch.tensor([1.0, float("nan"), float("inf")]),)),
        (torch.lu_unpack, torch.linalg.lu_factor(torch.randn(2, 3, 3))),
        (torch.rand_like, (torch.ones(5),)),
        (torch.mm, (torch.ones(2), torch.ones(3))),
        (torch.Tensor.tolist, (torch.ones(2),)),
    ],
)
def test_what_reads_its_arguments_alone_is_not(unchecked, call, args):
    assert not unchecked.depends(call, args, {})


def test_the_values_around_are_not_the_tensors(unchecked):
    given, number = unchecked.surrounded((torch.ones(2, 3), 4), unchecked.FILLINGS[1])

    assert number == 4
    assert torch.equal(given, torch.ones(2, 3))
    around = given.as_strided((2 * unchecked.AROUND + 6,), (1,), 0)
    assert int((around == -3e5).sum()) == 2 * unchecked.AROUND


def test_an_operator_that_was_found_is_left_out(unchecked):
    assert "lu_unpack" not in {case[0] for case in unchecked.cases("^lu", 0)}
    assert "lu_solve" in {case[0] for case in unchecked.cases("^lu", 0)}
