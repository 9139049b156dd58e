"""Coverage and agreement of the functions of arrays, one test per function, dtype and direction.

TensorFlow is asked for its raw operations, with soft placement off: what cannot be placed on the
device is unsupported, what ran elsewhere is a fallback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon.agreement import array_calls, array_namespaces

if TYPE_CHECKING:
    from pytest_applesilicon.agreement.array_functions import Function
    from pytest_applesilicon.fixtures import AppleSilicon

#: Which functions and dtypes each test takes.
TAKES = {
    "test_forward": lambda _function, _dtype: True,
    "test_gradient": lambda function, dtype: function.gradient and dtype == "float32",
}


def check(direction: str, function: Function, dtype: str, applesilicon: AppleSilicon) -> None:
    """Fail where the function is wrong, or ends in an outcome of --fail-on."""
    __tracebackhide__ = True
    framework, settings = applesilicon.framework.name, applesilicon.settings
    if function not in array_namespaces.functions_for(framework):
        pytest.skip(f"{framework} has no single operation for {function.name}")
    if applesilicon.framework.dtype(dtype) is None:
        pytest.skip(f"{framework} has no {dtype} as it is set up")
    place = array_calls.place_of(framework, applesilicon.spec)
    found = array_calls.check(place, function, dtype, direction, settings.seed)
    applesilicon.leave_operator(found)
    assert found.outcome not in settings.fail_on, f"{found.outcome}: {found.reason}"
    if found.outcome == "unsupported":
        pytest.skip(f"unsupported: {found.reason}")


@pytest.mark.frameworks("tensorflow", "mlx", "jax", "numpy")
def test_forward(
    array_function: Function, dtype: str, applesilicon: AppleSilicon, device: Any
) -> None:
    check("forward", array_function, dtype, applesilicon)


@pytest.mark.frameworks("tensorflow", "mlx", "jax")
def test_gradient(
    array_function: Function, dtype: str, applesilicon: AppleSilicon, device: Any
) -> None:
    check("gradient", array_function, dtype, applesilicon)
