"""Operands that are transposed, sliced, expanded or channels_last, read in another order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .case import sum_gradients
from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-107694", "transposed", "expanded")
def filled_by_mask(case: Case, operator: str) -> None:
    def call(x: Any, mask: Any) -> Any:
        seen = mask.t() if operator == "transposed" else mask[:1].t().expand(4, 2)
        return x.masked_fill_(seen, 1.0)

    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]]).bool()
    case.check(call, torch.zeros(4, 2), mask)


@regression("pytorch-150967")
def selected_by_transposed_condition(case: Case) -> None:
    def call(condition: Any, x: Any) -> Any:
        return torch.where(condition.T, x, 0), torch.where(condition.T, x, x + 1)

    condition = torch.tensor([[True, True, False], [True, True, True]])
    case.check(call, condition, torch.arange(1, 7).reshape(3, 2), kind="exact")


@regression("pytorch-87348", "clamp", "clamp_min", "clamp_max", "maximum")
def bounded_by_transposed(case: Case, operator: str) -> None:
    def call(x: Any, low: Any, high: Any) -> Any:
        if operator == "clamp":
            return torch.clamp(x, low.T, high.T)
        return getattr(torch, operator)(x, low.T)

    low = case.randn(3, 3)
    case.check(call, case.randn(3, 3), low, low + 1)


@regression("pytorch-98212", "gelu", "leaky_relu", "mish", "elu", "softplus")
def activation_of_transposed(case: Case, operator: str) -> None:
    activation = getattr(functional, operator)

    def call(x: Any) -> Any:
        return activation(x.transpose(0, 1)), sum_gradients(
            lambda one: activation(one.transpose(0, 1)) * one.transpose(0, 1), x
        )

    case.check(call, case.randn(7, 65))


@regression("pytorch-139006", "silu", "sigmoid", "tanh")
def silu_of_transposed(case: Case, operator: str) -> None:
    run = functional.silu if operator == "silu" else getattr(torch, operator)
    case.check(lambda x: run(x.t()), case.randn(7, 65))


@regression("pytorch-162730")
def linear_with_transposed_weight(case: Case) -> None:
    case.check(lambda x, w: functional.linear(x, w.t()), case.randn(4, 6), case.randn(6, 5))


@regression("pytorch-192212", "conv1d", "conv2d", "conv_transpose2d")
def convolution_with_sliced_weight(case: Case, operator: str) -> None:
    convolve = getattr(functional, operator)
    lengths = 1 if operator == "conv1d" else 2
    weight = case.randn(3, 16, *(3,) * (lengths + 1))
    x = case.randn(2, 3 if "transpose" in operator else 16, *(12,) * lengths)
    case.check(lambda x, w: convolve(x, w[:, :, 1]), x, weight)


@regression("pytorch-89353", "rotated", "channels_last")
def parts_joined(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        if operator == "rotated":
            return torch.cat([x[:2], torch.rot90(x)[:2]])
        images = x.reshape(1, 4, 2, 2).to(memory_format=torch.channels_last)
        return torch.cat([images, images], dim=1)

    case.check(call, case.randn(4, 4))


@regression("pytorch-78043", "stack", "cat")
def stepped_slices_joined(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        parts = (-x[..., 1::2], x[..., ::2])
        # Rotary embeddings join the slices themselves.
        joined = getattr(torch, operator)((parts[1], x[..., 1::2]), -1)
        return torch.stack(parts, -1).flatten(-2), joined

    case.check(call, case.randn(2, 3, 4, 8))


@regression("pytorch-115152", "scatter_", "scatter_add_", "gather")
def scattered_from_permuted(case: Case, operator: str) -> None:
    def call(base: Any, index: Any, source: Any) -> Any:
        if operator == "gather":
            return torch.gather(source.t(), 0, index.t())
        both = torch.zeros_like(base)
        getattr(both, operator)(0, index.t().contiguous(), source.t())
        getattr(base, operator)(0, index.t(), source.t().contiguous())
        return base, both

    # No index is there twice in a column: the order of writes decides nothing.
    index = torch.tensor([[0, 1, 2, 3], [1, 2, 0, 3], [2, 0, 1, 3]])
    case.check(call, torch.zeros(4, 3), index, case.randn(3, 4))
