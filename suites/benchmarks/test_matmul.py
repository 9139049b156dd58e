"""Square matrix products by size and dtype, in TFLOPS."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_applesilicon.data import chips

if TYPE_CHECKING:
    from .bench import DeviceBench

pytestmark = pytest.mark.frameworks("torch", "tensorflow", "mlx", "jax", "numpy")

SIZES = {"quick": (256, 512, 1024, 2048), "full": (256, 512, 1024, 2048, 4096, 8192)}

#: The largest float16 product timed on a CPU. Most CPUs have no float16 arithmetic, and one
#: 2048x2048 product took 43 s on an x86-64 server core with torch 2.13.
LARGEST_FLOAT16_ON_CPU = 512

#: The largest product of MLX timed on a CPU that is no Mac's: its wheels for Linux multiply without
#: a fast BLAS, and one 2048x2048 product takes some ten seconds.
LARGEST_OF_MLX_ON_CPU = 512

#: Relative spacing of each dtype; NumPy does not know bfloat16.
EPS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


@pytest.mark.parametrize("dtype", list(EPS))
@pytest.mark.parametrize("size", SIZES["full"])
def test_matmul(size: int, dtype: str, bench: DeviceBench) -> None:
    if size not in SIZES[bench.settings.size]:
        pytest.skip(f"{size} is run with --size=full")
    framework, spec = bench.framework, bench.spec
    if framework.name == "numpy" and dtype != "float32":
        pytest.skip(f"NumPy multiplies {dtype} without a BLAS")
    if spec == "cpu" and dtype == "float16" and size > LARGEST_FLOAT16_ON_CPU:
        pytest.skip(f"float16 on the CPU is timed up to {LARGEST_FLOAT16_ON_CPU}")
    slow = framework.name == "mlx" and spec == "cpu" and sys.platform != "darwin"
    if slow and size > LARGEST_OF_MLX_ON_CPU:
        pytest.skip(f"MLX on this CPU is timed up to {LARGEST_OF_MLX_ON_CPU}")
    draw = np.random.default_rng(bench.settings.seed)
    left, right = (
        framework.to_device(
            draw.standard_normal((size, size), dtype=np.float32), spec, framework.dtype(dtype)
        )
        for _ in range(2)
    )

    product = bench.time(lambda: left @ right, rounds=5, warmup=2)

    check_kind(framework, product, (size, size), dtype, spec)
    check_rows(framework, left, right, product, EPS[dtype])
    name = f"matmul {dtype} {size}"
    work = 2 * size**3 / 1e12
    bench.leave_rate(name, work, "TFLOPS")
    leave_share(bench, name, work)


def leave_share(bench: DeviceBench, name: str, work: float) -> None:
    """Leave which share of the chip's float32 peak was reached, where the peak is known.

    Against the highest peak that the sources name: the share is at least this.
    """
    peak = chips.peak_of(bench.applesilicon.host)
    if peak is not None and bench.spec == "mps" and bench.median_s is not None:
        share = work / bench.median_s / peak.tflops_high
        bench.leave(f"{name}, share of {peak.tflops_high:g} TFLOPS", 100 * share, "%")


def check_kind(framework: Any, product: Any, shape: tuple[int, int], dtype: str, spec: str) -> None:
    """Fail unless the product has the shape, the dtype and the device that are timed."""
    facts = framework.facts(product)
    assert (facts.shape, facts.dtype) == (shape, dtype), (
        f"the product is {facts.dtype} of shape {facts.shape}, not {dtype} of shape {shape}"
    )
    assert framework.on_device(facts, spec), f"the product is on {facts.device}, not on {spec}"


def check_rows(framework: Any, left: Any, right: Any, product: Any, eps: float) -> None:
    """Fail unless sample rows of the product are right.

    Each element may be off by 2 * sqrt(k) * eps times the square root of sum (a b)^2, the size
    that a sum of k products of random sign has. Rounding every partial sum to the dtype makes
    errors of a standard deviation of eps * sqrt(k / 24) in that unit, a tenth of it (Higham and
    Mary, A New Approach to Probabilistic Rounding Error Analysis, 2019). The bound that holds
    for any operands, k * eps * sum |a||b|, lets a bfloat16 product of zeros pass.
    """
    size = left.shape[0]
    rows = [0, 1, size // 2, size - 1]
    wide = [framework.to_host(values) for values in (left, right, product)]
    first, found = wide[0][rows], wide[2][rows]
    error = np.abs(found - first @ wide[1])
    allowed = 2 * size**0.5 * eps * np.sqrt(first**2 @ wide[1] ** 2)
    worst = np.unravel_index(int(np.argmax(error / allowed)), error.shape)
    assert (error <= allowed).all(), (
        f"row {rows[int(worst[0])]}, column {int(worst[1])} of the product is off by "
        f"{error[worst]:.3g}, allowed {allowed[worst]:.3g}"
    )
