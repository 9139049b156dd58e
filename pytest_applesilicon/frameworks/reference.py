"""A small reference workload of each kind, run beside every measured round.

What a machine does to a measurement from outside (clocks, neighbours, heat) it does to a
workload of the same kind too. The work is fixed, so its time can be compared between runs.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import frameworks
from pytest_applesilicon.contention import Contention
from pytest_applesilicon.frameworks import measuring

if TYPE_CHECKING:
    from collections.abc import Callable

#: What a workload can be limited by: arithmetic, memory, or the calls themselves.
KINDS = ("compute", "memory", "dispatch")

#: Elements on a side: some 0.5 ms on a CPU core, some 1 ms on the GPU of an M1.
_SIDE = {True: 256, False: 1024}

#: 1 MB and 8 MB of float32: the caches of one CPU core are shared with nobody.
_COPIED_ELEMENTS = {True: 2**18, False: 2 * 2**20}
_CALLS = {True: 500, False: 50}


class Reference:
    """The reference workloads of one framework and device."""

    def __init__(
        self, framework: str, spec: str, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        import numpy as np

        adapter = frameworks.load(framework)
        on_cpu = spec == "cpu"
        draw = np.random.default_rng(0)
        side = _SIDE[on_cpu]
        square, vector, few = (
            adapter.to_device(draw.standard_normal(shape, dtype=np.float32), spec)
            for shape in ((side, side), (_COPIED_ELEMENTS[on_cpu],), (16,))
        )
        self._clock = clock
        self._contention = Contention()
        self._wait = measuring.synchronizer(framework, spec)
        self._finish = measuring.finisher(framework, wait=True)
        self._work: tuple[Callable[[], Any], ...] = (
            partial(_product, square),
            _copy(framework, vector),
            partial(_sums, few, _CALLS[on_cpu]),
        )
        for _ in range(3):
            self.run()

    def run(self) -> tuple[float, ...]:
        """Seconds of each kind, in the order of ``KINDS``, without the waits for a CPU."""
        return tuple(self._timed(work) for work in self._work)

    def _timed(self, work: Callable[[], Any]) -> float:
        # A wait is counted only if the clock saw it too.
        began = self._clock()
        waited = self._contention.waited_s()
        result = work()
        if self._finish is not None:
            self._finish(result)
        if self._wait is not None:
            self._wait()
        waited = self._contention.waited_s() - waited
        return self._clock() - began - waited


def _product(square: Any) -> Any:
    return square @ square


def _copy(framework: str, vector: Any) -> Callable[[], Any]:
    """A copy into memory that is there already, where the framework can write in place."""
    if framework == "torch":
        target = vector.clone()
        return partial(target.copy_, vector)
    if framework == "numpy":
        import numpy as np

        return partial(np.copyto, vector.copy(), vector)
    return partial(_sums, vector, 1)


def _sums(few: Any, count: int) -> Any:
    total = few
    for _ in range(count):
        total = few + few
    return total
