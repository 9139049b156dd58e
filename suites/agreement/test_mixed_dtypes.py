"""Binary operators on two dtypes: the result's dtype and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from .share import judge, moved, run

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")

DTYPES = ("bool", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32")

OPERATORS = {
    "add": torch.add,
    "mul": torch.mul,
    "div": torch.div,
    "floor_divide": torch.floor_divide,
    "remainder": torch.remainder,
    "pow": torch.pow,
    "maximum": torch.maximum,
    "lt": torch.lt,
    "eq": torch.eq,
    "atan2": torch.atan2,
    "logical_xor": torch.logical_xor,
    "bitwise_and": torch.bitwise_and,
}

#: Two tensors of the same dtype are for suites/ops.
PAIRS = [
    pytest.param(name, left, right, id=f"{name}-{left}-{right}")
    for name in OPERATORS
    for left in DTYPES
    for right in DTYPES
    if left != right
]


def operand(dtype: str, seed: int) -> torch.Tensor:
    """Small whole numbers from 1 to 9: every dtype holds them, and none of them divides by zero."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(1, 10, (4, 5), generator=generator)
    return drawn.to(getattr(torch, dtype))


@pytest.mark.parametrize(("binary", "left", "right"), PAIRS)
def test_mixed_dtypes(
    binary: str, left: str, right: str, applesilicon: AppleSilicon, device: Any
) -> None:
    seed = applesilicon.settings.seed
    args = operand(left, 2 * seed), operand(right, 2 * seed + 1)
    actual = run(OPERATORS[binary], moved(args, device), {}, (args, {}))
    judge(actual, OPERATORS[binary], args, {}, torch.result_type(*args), name=binary)


@pytest.mark.parametrize(
    ("binary", "left", "scalar"),
    [
        pytest.param(name, left, scalar, id=f"{name}-{left}-{type(scalar).__name__}")
        for name in ("add", "mul", "div", "lt")
        for left in DTYPES
        for scalar in (3, 2.5, True)
    ],
)
def test_scalar(
    binary: str, left: str, scalar: float, applesilicon: AppleSilicon, device: Any
) -> None:
    args = operand(left, applesilicon.settings.seed), scalar
    actual = run(OPERATORS[binary], moved(args, device), {}, (args, {}))
    judge(actual, OPERATORS[binary], args, {}, torch.result_type(*args))
