"""A loop of NumPy dot products on the host, with the BLAS that computes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .bench import Bench

#: Matrices of a loop, and their size. The published runs took 20 s and more; their loop is
#: not known.
LOOP = {"quick": (20, 256), "full": (500, 1000)}


def blas() -> str:
    """The BLAS that NumPy has loaded, or the one it was built with."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return built_with()
    for one in threadpool_info():
        # SciPy brings a BLAS of its own: numpy.libs on Linux, numpy/.dylibs on a Mac.
        ours = any(part.startswith("numpy") for part in Path(one["filepath"]).parts)
        if one["user_api"] == "blas" and ours:
            return f"{one['internal_api']} {one['version']}, {one['num_threads']} threads"
    return built_with()


def built_with() -> str:
    """The BLAS that NumPy's configuration names."""
    from pytest_applesilicon.doctor import facts, gather, numpy

    return numpy.blas(facts.parse(gather.read())) or "unknown"


def test_dot_loop(host_bench: Bench) -> None:
    count, size = LOOP[host_bench.settings.size]
    draw = np.random.default_rng(host_bench.settings.seed)
    start = draw.standard_normal((size, size))
    turn = np.linalg.qr(draw.standard_normal((size, size)))[0]

    def loop() -> NDArray[np.float64]:
        value = start
        for _ in host_bench.say.watch(range(count)):
            value = np.dot(value, turn)
        return value

    found = host_bench.time(loop, rounds=5, warmup=1)

    check_lengths(start, found)
    name = blas()
    host_bench.benchmark.extra_info["blas"] = name
    host_bench.leave_time("numpy dot loop")
    host_bench.leave_rate(f"numpy dot loop by {name}", 2 * count * size**3 / 1e9, "GFLOPS")


def check_lengths(start: NDArray[np.float64], found: NDArray[np.float64]) -> None:
    """Fail unless the rows kept their lengths and angles: the loop turns them.

    A product by an orthogonal matrix is off by at most size * eps of the length, and the
    loop adds up its errors; a hundred is the longest that 500 products of random errors get
    (their sum grows with the square root), and each is measured to be below eps.
    """
    size = len(start)
    allowed = 100 * size * np.finfo(np.float64).eps
    before, after = start @ start.T, found @ found.T
    error = float(np.abs(after - before).max() / np.abs(before).max())
    assert error <= allowed, (
        f"the lengths and angles of the rows are off by {error:.3g} after the loop, "
        f"allowed {allowed:.3g}"
    )
