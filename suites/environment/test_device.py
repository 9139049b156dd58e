"""The device of this run: it is the one asked for, and it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon, AssertSame


def test_device_is_healthy(applesilicon: AppleSilicon, device: Any) -> None:
    health = applesilicon.health

    assert health.state == "ok", (
        f"{device} {health.phrase}: {health.reason}; remedy: {health.remedy}"
    )


def test_small_matmul_on_the_device(
    applesilicon: AppleSilicon, device: Any, assert_same: AssertSame
) -> None:
    """The 2x3 by 3x2 product of 1 to 6, and it stays on the device."""
    framework, spec = applesilicon.framework, applesilicon.spec
    float32 = framework.dtype("float32")
    left = framework.to_device([[1, 2, 3], [4, 5, 6]], spec, float32)
    right = framework.to_device([[1, 2], [3, 4], [5, 6]], spec, float32)

    product = left @ right

    expected = framework.to_device([[22, 28], [49, 64]], "cpu", float32)
    assert_same(product, expected)


def values_of(dtype: str, seed: int) -> np.ndarray[Any, Any]:
    """Random values that need every bit of their dtype; floating ones with inf and NaN."""
    draw = np.random.default_rng(seed)
    shape = (33, 65)
    if dtype == "bool":
        return draw.integers(0, 2, shape).astype(bool)
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        return draw.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    # The exponents stay within those of float16.
    values = draw.standard_normal(shape) * 2.0 ** draw.integers(-12, 12, shape)
    values.flat[:3] = np.inf, -np.inf, np.nan
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "int32", "uint8", "bool"])
def test_values_survive_the_trip_to_the_device(
    applesilicon: AppleSilicon, device: Any, dtype: str
) -> None:
    if applesilicon.framework.dtype(dtype) is None:
        pytest.skip(f"{applesilicon.framework.name} has no {dtype} as it is set up")
    framework, spec = applesilicon.framework, applesilicon.spec
    values = values_of(dtype, applesilicon.settings.seed)

    there = framework.to_device(values, spec)
    back = framework.to_host(there)

    facts = framework.facts(there)
    assert (facts.shape, facts.dtype) == (values.shape, dtype), (
        f"{dtype} of shape {values.shape} became {facts.dtype} of shape {facts.shape}"
    )
    assert framework.on_device(facts, spec), f"the values are on {facts.device}, not on {spec}"
    changed = np.argwhere((back != values) & ~((back != back) & (values != values)))
    assert not len(changed), (
        f"{len(changed)} of {values.size} {dtype} values changed, the first at "
        f"{changed[0]}: {values[tuple(changed[0])]} became {back[tuple(changed[0])]}"
    )
