"""The fixtures of the benchmarks: ``bench`` on a device, ``host_bench`` without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import settings_of

from .bench import Bench, DeviceBench, Progress

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from pytest_applesilicon.fixtures import AppleSilicon, Measure
    from pytest_applesilicon.measuring import DeviceBenchmark


@pytest.fixture
def say(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Progress:
    """Says on the terminal how far a long benchmark is."""
    return Progress(request.node.name, capsys)


@pytest.fixture
def bench(
    applesilicon: AppleSilicon, device: Any, device_benchmark: DeviceBenchmark, say: Progress
) -> DeviceBench:
    """Times work of the device of this test."""
    return DeviceBench(device_benchmark, applesilicon, device, say)


@pytest.fixture
def host_bench(
    request: pytest.FixtureRequest, measure: Measure, benchmark: BenchmarkFixture, say: Progress
) -> Bench:
    """Times work of the host: processes that are started, NumPy, a DataLoader."""
    return Bench(benchmark, measure, settings_of(request.config), say)
