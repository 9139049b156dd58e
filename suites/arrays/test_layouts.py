"""Functions of arrays give the same, however their operands are stored on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon.agreement import (
    array_calls,
    array_functions,
    array_layouts,
    array_namespaces,
)

if TYPE_CHECKING:
    from pytest_applesilicon.agreement.array_functions import Function
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("tensorflow", "mlx", "jax", "numpy")

#: Moving functions make views themselves; matrices that were drawn with a kind lose it by
#: ``expanded``.
TAKES = {
    "test_layout": lambda function, dtype: (
        dtype == "float32" and not any(one.kind for one in function.operands)
    )
}


@pytest.mark.parametrize("layout", array_layouts.LAYOUTS)
def test_layout(
    layout: str,
    array_function: Function,
    dtype: str,
    applesilicon: AppleSilicon,
    device: Any,
) -> None:
    framework, spec, seed = applesilicon.framework, applesilicon.spec, applesilicon.settings.seed
    if array_function not in array_namespaces.functions_for(framework.name):
        pytest.skip(f"{framework.name} has no single operation for {array_function.name}")
    place = array_calls.place_of(framework.name, spec)
    drawn = array_functions.draw(array_function, dtype, seed)
    plain = [array_layouts.same_values(one, layout) for one in drawn]
    uploaded = array_calls.upload(place, plain, dtype)
    assert uploaded is not None, f"{framework.name} has no {dtype}"
    arrays, values = uploaded
    changed = 0
    for number, one in enumerate(plain):
        viewed = array_layouts.view(framework, spec, one, framework.dtype(dtype), layout)
        if viewed is not None:
            arrays[number], changed = viewed, changed + 1
    if not changed:
        pytest.skip(f"no operand has the layout {layout}")

    try:
        judged, _ = array_calls.judge_forward(place, array_function, dtype, arrays, values, seed)
    except array_namespaces.LackingError as error:
        pytest.skip(f"unsupported: {error}")

    assert judged[0].agrees, f"{layout}: {array_calls.telling(judged[0])}"
