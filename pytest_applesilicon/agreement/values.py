"""Values at the edges of each dtype, where implementations differ most."""

from __future__ import annotations

import math
from typing import Any

from pytest_applesilicon.agreement import envelope

#: Above this not every integer is a float32: integers sent through float32 lose their last bit.
FLOAT32_INTEGERS = 2**24

#: The integer dtypes with their bits, and whether they hold negative numbers.
_INTEGERS = {
    "uint8": (8, False),
    "int8": (8, True),
    "int16": (16, True),
    "int32": (32, True),
    "int64": (64, True),
}


def edge_values(dtype: str) -> tuple[Any, ...]:
    """Numbers at the edges of a dtype, as Python values that it holds exactly.

    Raises:
        ValueError: nothing is known of the dtype.
    """
    if dtype == "bool":
        return (False, True)
    if dtype in _INTEGERS:
        return _integers(*_INTEGERS[dtype])
    if dtype not in envelope.DTYPE_INFO:
        raise ValueError(f"no edge values of dtype {dtype!r} are known")
    floats = _floats(envelope.DTYPE_INFO[dtype])
    if not dtype.startswith("complex"):
        return floats
    return tuple(complex(real, imaginary) for real in floats for imaginary in floats)


def _floats(info: envelope.Precision) -> tuple[float, ...]:
    half = info.eps / 2
    positive = (
        0.0,
        info.smallest_subnormal,
        info.smallest_normal,
        1 - half,  # the neighbours of one
        1.0,
        1 + info.eps,
        0.5,
        1.5,  # halfway between two integers, as is 2.5: rounded to the even one
        2.5,
        3.0,
        info.max,
        math.inf,
    )
    return (math.nan, *positive, *(-one for one in positive))


def _integers(bits: int, signed: bool) -> tuple[int, ...]:
    largest = 2 ** (bits - signed) - 1
    smallest = -largest - 1 if signed else 0
    near = FLOAT32_INTEGERS
    wanted = [smallest, smallest + 1, -near - 1, -3, -2, -1, 0, 1, 2, 3, 7]
    wanted += [near - 1, near, near + 1, near + 3, 2**31 - 1, 2**31, largest - 1, largest]
    wanted += [2**53 + 1]  # no float64 either
    return tuple(sorted({one for one in wanted if smallest <= one <= largest}))


def edge_array(dtype: str) -> Any:
    """``edge_values`` as a NumPy array.

    Raises:
        ValueError: NumPy has no such dtype (``bfloat16``), or nothing is known of it.
    """
    import numpy as np

    values = edge_values(dtype)
    if not hasattr(np, dtype):
        if dtype == "bool":
            return np.array(values, np.bool_)
        raise ValueError(f"NumPy has no dtype {dtype!r}: use edge_tensor")
    return np.array(values, dtype)


def edge_tensor(dtype: str, *, device: Any = "cpu") -> Any:
    """``edge_values`` as a tensor of torch."""
    import torch

    return torch.tensor(edge_values(dtype), dtype=getattr(torch, dtype)).to(device)


def edge_pairs(dtype: str, *, device: Any = "cpu") -> tuple[Any, Any]:
    """Two tensors of the same shape in which every pair of edge values stands once."""
    edges = edge_tensor(dtype, device=device)
    count = edges.numel()
    left = edges.unsqueeze(1).expand(count, count).contiguous()
    return left, left.mT.contiguous()
