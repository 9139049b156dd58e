"""Gradients: of expanded upstream gradients, vectors and strided inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .case import sum_gradients
from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-189565")
def one_output_summed(case: Case) -> None:
    # 3840 * 33 numbers are many pages of 16 KB.
    case.check_gradients(functional.linear, case.randn(3840, 33), case.randn(1, 33))


@regression("pytorch-180201")
def products_summed(case: Case) -> None:
    def call(x: Any, first: Any, second: Any) -> Any:
        return (torch.sin(x @ first.T) @ second.T).squeeze(-1)

    case.check_gradients(call, case.randn(64, 3), case.randn(16, 3), case.randn(1, 16))


@regression("pytorch-175189", "channels_last", "permuted")
def weight_of_batch_norm(case: Case, operator: str) -> None:
    def call(x: Any, weight: Any, bias: Any) -> Any:
        if operator == "permuted":
            x = x.permute(0, 3, 1, 2)
        else:
            x = x.to(memory_format=torch.channels_last)
        return functional.batch_norm(x, None, None, weight, bias, training=True).square()

    shape = (4, 8, 8, 3) if operator == "permuted" else (4, 3, 8, 8)

    def gradients(x: Any, weight: Any, bias: Any) -> Any:
        return sum_gradients(call, x, weight, bias)

    case.check(gradients, case.randn(*shape), case.randn(3), case.randn(3))


@regression("pytorch-84591", "forward", "backward")
def weight_of_one_dimension(case: Case, operator: str) -> None:
    given = case.randn(38, 33), case.randn(33)
    if operator == "forward":
        case.check(functional.linear, *given)
    else:
        case.check_gradients(functional.linear, *given)
