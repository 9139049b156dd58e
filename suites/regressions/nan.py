"""NaN, infinities and negative zero."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-187521", "baddbmm", "addbmm", "addmm", "addmv")
def nan_times_beta_of_zero(case: Case, operator: str) -> None:
    left, right = case.randn(1, 4, 4), case.randn(1, 4, 4)
    if operator in ("addmm", "addmv"):
        left, right = left[0].clone(), right[0].clone()
    if operator == "addmv":
        right = right[0].clone()
    given = torch.full(right.shape, nan) if operator == "baddbmm" else torch.full((4,), nan)
    case.check(lambda *given: getattr(torch, operator)(*given, beta=0), given, left, right)


@regression("pytorch-130295", "max", "min", "amax", "argmax", "maximum", "minimum", "relu", "clamp")
def nan_dropped(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        if operator in ("maximum", "minimum"):
            run = getattr(torch, operator)
            return run(x, torch.zeros_like(x)), run(torch.zeros_like(x), x)
        if operator == "clamp":
            return x.clamp(0, 1), x.clamp(min=0), x.clamp(max=1)
        if operator == "relu":
            return functional.relu(x), functional.relu6(x)
        return getattr(torch, operator)(x)

    case.check(call, torch.tensor([1.0, nan, 3.0, -1.0]))


@regression("pytorch-189243", "div", "floor_divide")
def divided_by_infinity(case: Case, operator: str) -> None:
    def call(x: Any, y: Any) -> Any:
        if operator == "div":
            return torch.div(x, y, rounding_mode="floor")
        return torch.floor_divide(x, y)

    x = torch.tensor([inf, 1.0, -1.0, -0.0, nan, 5.0])
    case.check(call, x, torch.tensor([1.0, -inf, inf, 2.0, 1.0, 0.0]))


@regression("keras-23661")
def loss_of_nan(case: Case) -> None:
    given = torch.tensor([nan, 0.5]), torch.tensor([1.0, 0.0])
    # torch refuses it on the CPU; a device may also give NaN, but no number.
    try:
        loss = case.given(functional.binary_cross_entropy, *given)
    except AssertionError:
        return
    case.require(not loss.isfinite().any().item(), f"the loss is {loss.item()}")
