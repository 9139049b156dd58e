"""What it costs to ask for one small operation: microseconds of adding 1 to one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from .bench import DeviceBench

pytestmark = pytest.mark.frameworks("torch", "tensorflow", "jax", "numpy")

#: Operations in a call. A thousand hide the wait at their end; of those that are each waited
#: for, a hundred make a round of milliseconds.
QUEUED, WAITED = 1000, 100


@pytest.mark.parametrize("way", ["queued", "waited for"])
def test_dispatch(way: str, bench: DeviceBench) -> None:
    one = bench.framework.to_device(np.ones(1, dtype=np.float32), bench.spec)
    count = QUEUED if way == "queued" else WAITED

    def queued() -> Any:
        value = one
        for _ in range(count):
            value = value + 1
        return value

    def waited_for() -> Any:
        value = one
        for _ in range(count):
            value = value + 1
            bench.applesilicon.synchronize()
        return value

    found = bench.time(queued if way == "queued" else waited_for, rounds=20, warmup=3)

    value = float(bench.framework.to_host(found)[0])
    assert value == count + 1, f"1 plus {count} ones is {value}"
    bench.leave_time(f"small add, {way}", "us", calls=count)
