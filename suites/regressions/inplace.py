"""Writes in place and into ``out`` that do not arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-118115", "addcdiv_", "addcmul_", "lerp_")
def written_into_transposed(case: Case, operator: str) -> None:
    def call(x: Any, y: Any, z: Any) -> Any:
        write = getattr(x.t(), operator)
        write(y.t(), (z.t().abs() + 1) if operator != "lerp_" else 0.25)
        return x

    case.check(call, case.randn(2, 3), case.randn(2, 3), case.randn(2, 3))


@regression(
    "pytorch-165257", "normal_", "uniform_", "exponential_", "bernoulli_", "random_", "log_normal_"
)
def drawn_into_transposed(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        getattr(x.t(), operator)()
        return x

    # None of them draws a number below -1000.
    drawn = case.given(call, torch.full((3, 4), -1000.0)).cpu()
    untouched = int((drawn == -1000).sum())
    case.require(not untouched, f"{untouched} of 12 elements were not drawn")


@regression("pytorch-118117", "Rprop", "Adam", "AdamW", "NAdam", "RMSprop", "Adagrad", "SGD")
def step_of_transposed_parameter(case: Case, operator: str) -> None:
    def call(weight: Any, gradient: Any) -> Any:
        parameter = torch.nn.Parameter(weight.t())
        parameter.grad = gradient.t()
        optimizer = getattr(torch.optim, operator)([parameter], lr=0.01)
        optimizer.step()
        optimizer.step()
        return parameter.detach()

    case.check(call, case.randn(4, 3), case.randn(4, 3))


@regression("pytorch-104832", "matmul", "bmm", "addmm", "add")
def product_into_slice(case: Case, operator: str) -> None:
    def call(target: Any, left: Any, right: Any) -> Any:
        out = target[..., 8:16]
        if operator == "addmm":
            torch.addmm(left, left, right, out=out)
        else:
            getattr(torch, operator)(left, right, out=out)
        return target

    batch = (2,) if operator == "bmm" else ()
    case.check(call, torch.zeros(*batch, 8, 24), case.randn(*batch, 8, 8), case.randn(*batch, 8, 8))


@regression("pytorch-163327", "scatter_add_", "scatter_", "index_add_", "index_copy_", "add_")
def written_into_second_row(case: Case, operator: str) -> None:
    def call(base: Any, index: Any, source: Any) -> Any:
        row = base[1]
        if operator == "add_":
            row.add_(source)
        else:
            getattr(row, operator)(0, index, source)
        return base

    case.check(call, torch.zeros(2, 4), torch.tensor([3, 2, 0, 1]), case.randn(4))


@regression("pytorch-195074", "index_add_", "scatter_add_", "index_put_")
def accumulated_into_bool_view(case: Case, operator: str) -> None:
    def call(base: Any, index: Any) -> Any:
        view, ones = base.narrow(0, 1, 4), torch.ones_like(base[:2])
        if operator == "index_put_":
            view.index_put_((index,), ones, accumulate=True)
        else:
            getattr(view, operator)(0, index, ones)
        return base

    case.check(call, torch.zeros(8, dtype=torch.bool), torch.tensor([0, 2]), kind="exact")


@regression("pytorch-122016")
def elements_assigned_in_turn(case: Case) -> None:
    def call(x: Any) -> Any:
        x[1] = 1
        x[2] = 3
        return x

    case.check(call, torch.zeros(3))
