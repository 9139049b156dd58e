"""What a device can do at best, measured here: products of matrices and copies.

The best of several, as an upper limit is what is asked for. Knows nothing of pytest.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import frameworks
from pytest_applesilicon.frameworks import measuring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TIMES = 10

#: Sides of the squares: large enough for the full rate, some 50 ms on a CPU core.
_SIDE = {True: 1024, False: 4096}

#: Elements that are copied: 64 MB of float32, beyond the caches.
_COPIED_ELEMENTS = 16 * 2**20


class Peaks:
    """The peaks of this run, each measured once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], float] = {}

    def of(self, framework: str, spec: str, units: Iterable[str]) -> dict[str, float]:
        """The float32 peak in each of ``units`` that is TFLOPS or GB/s (read and written)."""
        found = {}
        for unit in set(units) & set(_MEASURES):
            key = (framework, spec, unit)
            if key not in self._found:
                self._found[key] = _MEASURES[unit](framework, spec)
            found[unit] = self._found[key]
        return found


def _tflops(framework: str, spec: str) -> float:
    side = _SIDE[spec == "cpu"]
    square = _array(framework, spec, (side, side))
    return float(2 * side**3 / 1e12 / _best(framework, spec, lambda: square @ square))


def _bandwidth(framework: str, spec: str) -> float:
    source = _array(framework, spec, (_COPIED_ELEMENTS,))
    # Every framework adds; torch and NumPy write into memory that is there already.
    work: Callable[[], Any] = lambda: source + 1  # noqa: E731
    if framework == "torch":
        target = source.clone()
        work = lambda: target.copy_(source)  # noqa: E731
    elif framework == "numpy":
        import numpy as np

        target = source.copy()
        work = lambda: np.copyto(target, source)  # noqa: E731
    return 2 * 4 * _COPIED_ELEMENTS / 1e9 / _best(framework, spec, work)


_MEASURES = {"TFLOPS": _tflops, "GB/s": _bandwidth}


def _array(framework: str, spec: str, shape: tuple[int, ...]) -> Any:
    import numpy as np

    values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return frameworks.load(framework).to_device(values, spec)


def _best(framework: str, spec: str, work: Callable[[], Any]) -> float:
    """The shortest of some calls, in seconds, each until the device has finished it."""
    wait = measuring.synchronizer(framework, spec)
    finish = measuring.finisher(framework, wait=True)
    best = float("inf")
    for _ in range(_TIMES):
        began = time.perf_counter()
        result = work()
        if finish is not None:
            finish(result)
        if wait is not None:
            wait()
        best = min(best, time.perf_counter() - began)
    return best
