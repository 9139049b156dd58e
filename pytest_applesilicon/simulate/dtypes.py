"""The dtypes that MPS has no memory for, and what it says of each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate import texts

if TYPE_CHECKING:
    from collections.abc import Callable

#: getMPSDataType and EmptyTensor.cpp: double precision has a text of its own.
_DOUBLE = ("float64", "complex128")

#: MPS has no 8-bit and no 4-bit floats; the names are as ScalarType prints them.
_EIGHT_BITS = {
    "float8_e4m3fn": "Float8_e4m3fn",
    "float8_e5m2": "Float8_e5m2",
    "float8_e4m3fnuz": "Float8_e4m3fnuz",
    "float8_e5m2fnuz": "Float8_e5m2fnuz",
    "float8_e8m0fnu": "Float8_e8m0fnu",
    "float4_e2m1fn_x2": "Float4_e2m1fn_x2",
}


def refuse() -> dict[Any, Callable[[], TypeError]]:
    """The refused dtypes of the installed torch, each with what makes its error."""
    import torch

    found: dict[Any, Callable[[], TypeError]] = {
        getattr(torch, name): partial(TypeError, texts.NO_DOUBLE) for name in _DOUBLE
    }
    for name, printed in _EIGHT_BITS.items():
        dtype = getattr(torch, name, None)
        if dtype is not None:
            found[dtype] = partial(TypeError, texts.NO_DTYPE.format(dtype=printed))
    return found
