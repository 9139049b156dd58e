"""Tensors without elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-90479", "cat", "index_select", "gather", "nll_loss")
def operand_of_nothing(case: Case, operator: str) -> None:
    def call(x: Any, ones: Any, index: Any) -> Any:
        if operator == "cat":
            return torch.cat((x.flatten(), ones[0]))
        if operator == "nll_loss":
            return functional.nll_loss(x, index, reduction="sum")
        if operator == "gather":
            return ones.gather(0, index.reshape(0, 1))
        return ones.index_select(0, index)

    case.check(call, torch.empty(0, 3), torch.ones(2, 3), torch.empty(0, dtype=torch.int64))


@regression("kornia-4160", "all", "any")
def whether_all_of_nothing(case: Case, operator: str) -> None:
    run = getattr(torch, operator)
    case.check(lambda x: (run(x, dim=1), run(x)), torch.ones(3, 0, dtype=torch.bool))
