"""Integers and booleans: computed in float32, saturated, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .registry import regression

if TYPE_CHECKING:
    from .case import Case

WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8)


@regression("pytorch-90635", "cumsum", "cumprod")
def cumulated(case: Case, operator: str) -> None:
    run = getattr(torch, operator)
    numbers = torch.tensor([1, 2, -1, 3])
    case.check(lambda *given: [run(one, 0) for one in given], *[numbers.to(one) for one in WHOLE])
    case.check(lambda one: run(one, 0), torch.ones(200, dtype=torch.bool))


@regression("pytorch-92311", "argmax", "argmin")
def place_of_extreme(case: Case, operator: str) -> None:
    numbers = torch.tensor([13, 14, 11, 12])
    case.check(
        lambda *given: [getattr(torch, operator)(one) for one in given],
        *[numbers.to(one) for one in WHOLE],
    )


@regression("pytorch-87753", "max", "min", "amax", "amin")
def extreme(case: Case, operator: str) -> None:
    numbers = torch.tensor([1, 4, 0, 2, 2**40, -(2**40), 3])
    case.check(lambda x: getattr(torch, operator)(x), numbers)


@regression("pytorch-122916", "nonzero", "where")
def places_beyond_float32(case: Case, operator: str) -> None:
    last = 2**24 + 5

    def call(flags: Any, at: Any) -> Any:
        flags[at] = True
        return flags.nonzero() if operator == "nonzero" else torch.where(flags)[0]

    flags = torch.zeros(2**24 + 8, dtype=torch.bool)
    case.check(call, flags, torch.tensor([3, last]), kind="exact")


@regression("pytorch-195595")
def keys_beyond_float32(case: Case) -> None:
    def call(keys: Any) -> Any:
        unique, inverse = keys.unique(return_inverse=True)
        return unique, inverse, unique[inverse]

    case.check(call, torch.tensor([2**24 + 1, 2**24, 2**28 + 3, 2**24 + 1]), kind="exact")


@regression("pytorch-179415", "sum", "prod")
def sum_in_bytes(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        return getattr(torch, operator)(x, dtype=torch.uint8)

    case.check(call, torch.tensor([255, 2, 1, 5, 3, 7], dtype=torch.uint8), kind="exact")


@regression("pytorch-84995", "div", "floor_divide", "remainder")
def divided_down(case: Case, operator: str) -> None:
    def call(x: Any, y: Any) -> Any:
        if operator == "div":
            return torch.div(x, 2, rounding_mode="floor"), torch.div(x, y, rounding_mode="floor")
        return getattr(torch, operator)(x, 2), getattr(torch, operator)(x, y)

    case.check(call, torch.tensor([1, -3, 5]), torch.tensor([2, 2, -2]), kind="exact")
