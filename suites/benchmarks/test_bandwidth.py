"""Copies within the memory of the device, in GB/s: what is read and what is written counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from .bench import DeviceBench

pytestmark = pytest.mark.frameworks("torch", "numpy")

SIZES_MB = {"quick": (64,), "full": (64, 1024)}


@pytest.mark.parametrize("megabytes", SIZES_MB["full"])
def test_copy(megabytes: int, bench: DeviceBench) -> None:
    if megabytes not in SIZES_MB[bench.settings.size]:
        pytest.skip(f"{megabytes} MB is run with --size=full")
    framework, spec = bench.framework, bench.spec
    draw = np.random.default_rng(bench.settings.seed)
    values = draw.random(megabytes * 1_000_000 // 4, dtype=np.float32)
    source = framework.to_device(values, spec)
    target = framework.to_device(np.zeros_like(values), spec)

    if framework.name == "numpy":
        bench.time(lambda: np.copyto(target, source), rounds=10, warmup=2)
    else:
        bench.time(lambda: target.copy_(source), rounds=10, warmup=2)

    found = framework.to_host(target)
    wrong = np.flatnonzero(found != values)
    assert not len(wrong), (
        f"{len(wrong)} of {len(values)} copied values differ, the first at {wrong[0]}: "
        f"{found[wrong[0]]:.9g}, not {values[wrong[0]]:.9g}"
    )
    bench.leave_rate(f"copy {megabytes} MB", 2 * values.nbytes / 1e9, "GB/s")
