"""Elementwise functions at the edges of a dtype: NaN, infinities, zeros, subnormals, extremes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_applesilicon.agreement import array_calls, array_namespaces, envelope, values

if TYPE_CHECKING:
    from pytest_applesilicon.agreement.array_functions import Function
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("tensorflow", "mlx", "jax", "numpy")

#: Of numbers that are 0, negative or beyond the largest quotient, remainders and quotients that
#: are rounded down are defined differently by every library.
LEFT_OUT = ("floor_divide", "remainder")

#: XLA takes subnormal numbers as zero and flushes results to zero, on the CPU as well; the
#: smallest normal number is among them where a function rounds it down.
FLUSHES = ("jax",)

#: Operands at which a framework gives something else than the standard, and what.
DIFFERENT = {("mlx", "sign"): np.isnan}  # MLX 0.32 gives 0 for NaN, the standard wants NaN

TAKES = {
    "test_edge_values": lambda function, dtype: (
        function.category == "elementwise"
        and dtype in ("float32", "float16")
        and function.name not in LEFT_OUT
    )
}


def edges_of(count: int, dtype: str) -> list[Any]:
    """Edge values as float64: all of them, or every pair."""
    edges = values.edge_array(dtype).astype(np.float64)
    if count == 1:
        return [edges]
    return [one.ravel() for one in np.meshgrid(edges, edges, indexing="ij")]


def test_edge_values(
    array_function: Function, dtype: str, applesilicon: AppleSilicon, device: Any
) -> None:
    framework, seed = applesilicon.framework.name, applesilicon.settings.seed
    if array_function not in array_namespaces.functions_for(framework):
        pytest.skip(f"{framework} has no single operation for {array_function.name}")
    place = array_calls.place_of(framework, applesilicon.spec)
    edges = edges_of(len(array_function.operands), dtype)
    left_out = np.zeros(edges[0].shape, bool)
    for one in edges:
        if framework in FLUSHES:
            tiny = envelope.DTYPE_INFO[dtype].smallest_normal
            left_out |= (np.abs(one) <= tiny) & (one != 0)
        if (framework, array_function.name) in DIFFERENT:
            left_out |= DIFFERENT[framework, array_function.name](one)
    uploaded = array_calls.upload(place, [one[~left_out] for one in edges], dtype)
    assert uploaded is not None, f"{framework} has no {dtype}"
    arrays, held = uploaded

    try:
        judged, _ = array_calls.judge_forward(place, array_function, dtype, arrays, held, seed)
    except array_namespaces.LackingError as error:
        pytest.skip(f"unsupported: {error}")

    one = judged[0]
    given = [float(operand[one.index]) for operand in held]
    assert one.agrees, f"of {given}: {array_calls.telling(one)}"
