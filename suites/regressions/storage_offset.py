"""Operands that begin inside a larger tensor, read from its start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-78107", "gt", "lt", "ge", "le", "eq")
def elements_compared(case: Case, operator: str) -> None:
    compare = getattr(torch, operator)
    case.check(
        lambda a: (compare(a[0], a[1]), compare(a[1], a[0]), compare(a[2], a[1])),
        torch.tensor([0.8, -1.0, -1.0]),
    )


@regression("pytorch-78363", "inv", "det", "solve")
def second_matrix(case: Case, operator: str) -> None:
    run = getattr(torch.linalg, operator)

    def call(matrices: Any, x: Any) -> Any:
        return run(matrices[1], x) if operator == "solve" else run(matrices[1])

    case.check(call, torch.stack([torch.eye(4) * 2, torch.eye(4) * 4]), case.randn(4))


@regression("pytorch-174345", "avg_pool2d", "max_pool2d", "batch_norm")
def images_behind_the_first_column(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        images = x[:, 1:].reshape(1, 4, 4, 8).permute(0, 3, 1, 2)
        if operator == "batch_norm":
            return functional.batch_norm(images, None, None, training=True)
        return getattr(functional, operator)(images, 2)

    case.check(call, case.randn(1, 17, 8))
