"""Dimensions: negative, far from the last, none of them, and bounds that broadcast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-107116", "std", "var", "std_mean", "var_mean")
def deviation_over_negative(case: Case, operator: str) -> None:
    case.check(lambda x: getattr(torch, operator)(x, dim=-2), case.randn(2, 3, 4))


@regression("pytorch-154881", "cumsum", "cumprod", "topk", "sort")
def far_from_last(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        if operator == "topk":
            return x.topk(1, dim=0)
        return getattr(torch, operator)(x, 0 if operator.startswith("cum") else -5)

    x = case.randn(2, 2, 3, 4, 5)
    case.check(call, x)


@regression("pytorch-92329", "cumsum", "cumprod", "logcumsumexp")
def cumulated_over_negative(case: Case, operator: str) -> None:
    case.check(lambda x: getattr(torch, operator)(x, -1), case.randn(10, 2))


@regression("pytorch-97231", "sum", "mean")
def no_dimensions_named(case: Case, operator: str) -> None:
    run = getattr(torch, operator)
    case.check(lambda x: (run(x, dim=[1]), run(x, dim=[]), run(x, dim=[0])), case.randn(2, 3))


@regression("pytorch-160738", "var", "std")
def variance_of_little(case: Case, operator: str) -> None:
    run = getattr(torch, operator)
    case.check(lambda x: (run(x), run(x, correction=0)), torch.tensor(2.0))
    case.check(lambda x: (run(x, dim=1), run(x)), torch.empty(3, 0, 5))


@regression("pytorch-160734", "clamp", "clamp_min", "clamp_max")
def bound_of_more_dimensions(case: Case, operator: str) -> None:
    case.check(
        lambda x, low: getattr(torch, operator)(x, low), case.randn(2, 3), case.randn(1, 2, 3)
    )


@regression("pytorch-86239")
def condition_of_fewer_dimensions(case: Case) -> None:
    condition = torch.tensor([[True, False, True]] * 3)
    case.check(torch.where, condition, case.randn(2, 3, 3), case.randn(3, 3))


@regression("pytorch-104879")
def unique_of_three_dimensions(case: Case) -> None:
    case.check(lambda x: x.unique(), torch.tensor([[[0, 1], [5, 3]]]), kind="exact")
