"""Where a benchmark leaves its result: pytest-benchmark's JSON and our report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from pytest_applesilicon.fixtures import AppleSilicon


def leave_rate(
    applesilicon: AppleSilicon, benchmark: BenchmarkFixture, name: str, work: float, unit: str
) -> None:
    """Leave ``work`` divided by the median time, in ``unit`` (work per second).

    Nothing is left where nothing was timed: under pytest-xdist, or with --benchmark-disable.
    """
    host, health = applesilicon.host, applesilicon.health
    benchmark.extra_info.update(
        device=applesilicon.spec,
        framework=applesilicon.framework.name,
        chip=host.chip,
        gpu_cores=host.gpu_cores,
        virtual=host.virtual,
        simulated=health.simulated,
    )
    if benchmark.stats is not None:
        rate = work / benchmark.stats.stats.median
        benchmark.extra_info[unit] = rate
        applesilicon.measure(name, rate, unit)
