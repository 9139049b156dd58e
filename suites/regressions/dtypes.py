"""Two dtypes in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-149951", "fmax", "fmin", "maximum", "atan2")
def mixed_floats(case: Case, operator: str) -> None:
    case.check(
        lambda x, y: getattr(torch, operator)(x, y),
        case.randn(3),
        torch.arange(3.0, dtype=torch.float16),
    )


@regression("pytorch-130201", "clamp", "clamp_min", "clamp_max")
def integers_with_floating_bound(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        if operator == "clamp":
            return torch.clamp(x, 1.5, 2.5)
        return getattr(torch, operator)(x, 1.5)

    case.check(call, torch.tensor([1, 2, 3]))


@regression("pytorch-82543")
def whole_number_minus(case: Case) -> None:
    case.check(lambda a: (1.0 - a, 2.0 - a, torch.rsub(a, 1.0)), torch.tensor([0.0, 0.49, 0.95]))
