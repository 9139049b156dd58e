"""How a benchmark times, and where it leaves its result.

Every test of this folder times through ``Bench.time``: there is one place that knows how a
device is waited for. A result goes to pytest-benchmark's JSON and to our report, at full size
with the figures that others published of the same workload.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_applesilicon.data import published

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest
    from pytest_benchmark.fixture import BenchmarkFixture

    from pytest_applesilicon.fixtures import AppleSilicon, Measure
    from pytest_applesilicon.measuring import DeviceBenchmark
    from pytest_applesilicon.options import Settings

T = TypeVar("T")

#: Seconds between two lines that say how far a long benchmark is.
_SAY_EVERY_S = 10.0


@dataclass
class Progress:
    """Says on the terminal how far a long benchmark is; silent for the first seconds."""

    name: str
    capsys: pytest.CaptureFixture[str]
    clock: Callable[[], float] = time.monotonic
    every_s: float = _SAY_EVERY_S
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def __call__(self, text: str) -> None:
        """Say it, if nothing was said for a while."""
        if self.clock() - self._last < self.every_s:
            return
        self._last = self.clock()
        with self.capsys.disabled():
            sys.stderr.write(f"\n{self.name}: {text}")
            sys.stderr.flush()

    def watch(self, items: Sequence[T]) -> Iterator[T]:
        """The items, each announced as it is taken."""
        for number, item in enumerate(items, 1):
            self(f"{number} of {len(items)}")
            yield item


class Bench:
    """Times work of the host, for tests that need no device."""

    def __init__(
        self,
        benchmark: BenchmarkFixture,
        measure: Measure,
        settings: Settings,
        say: Progress,
    ) -> None:
        self.benchmark = benchmark
        self.settings = settings
        self.say = say
        self._measure = measure

    @property
    def full(self) -> bool:
        return self.settings.size == "full"

    def pick(self, *, quick: T, full: T) -> T:
        """What belongs to the size that was asked for."""
        return full if self.full else quick

    def time(self, call: Callable[[], T], *, rounds: int = 5, warmup: int = 1) -> T:
        """Time a call, waiting for the device after each round; returns its last result.

        Args:
            call: the work; it need not wait for the device itself.
            rounds: how often it is timed, once a round.
            warmup: how often it is called before.
            each_call: on a device, whether the time of single calls is asked for (latency).
        """
        result: T = self.benchmark.pedantic(call, rounds=rounds, warmup_rounds=warmup)
        return result

    @property
    def median_s(self) -> float | None:
        """Seconds of a call; ``None`` where nothing was timed.

        So it is under pytest-xdist and with --benchmark-disable.
        """
        stats = self.benchmark.stats
        return None if stats is None else float(stats.stats.median)

    def leave(self, name: str, value: float, unit: str) -> None:
        """Leave a figure, at full size beside what was published of a workload of its name."""
        self.benchmark.extra_info[f"{name} [{unit}]" if unit else name] = value
        found = published.figures(name) if self.full else ()
        self._measure(name, value, unit, found)

    def leave_rate(self, name: str, work: float, unit: str) -> None:
        """Leave ``work`` divided by the median time, in ``unit`` (work per second)."""
        seconds = self.median_s
        if seconds is not None:
            self.benchmark.extra_info[unit] = work / seconds
            self.leave(name, work / seconds, unit)

    def leave_time(self, name: str, unit: str = "s", calls: int = 1) -> None:
        """Leave the median time of one of ``calls``, in ``s``, ``ms`` or ``us``."""
        seconds = self.median_s
        if seconds is not None:
            self.leave(name, seconds / calls * {"s": 1.0, "ms": 1e3, "us": 1e6}[unit], unit)


class DeviceBench(Bench):
    """Times work of the device of the test."""

    def __init__(
        self,
        device_benchmark: DeviceBenchmark,
        applesilicon: AppleSilicon,
        device: Any,
        say: Progress,
    ) -> None:
        super().__init__(
            device_benchmark.benchmark, applesilicon.measure, applesilicon.settings, say
        )
        self.applesilicon = applesilicon
        self.framework = applesilicon.framework
        self.spec = applesilicon.spec
        self.device = device
        self._timing = device_benchmark
        host, health = applesilicon.host, applesilicon.health
        self.benchmark.extra_info.update(
            device=self.spec,
            framework=self.framework.name,
            chip=host.chip,
            gpu_cores=host.gpu_cores,
            virtual=host.virtual,
            simulated=health.simulated,
        )

    def time(
        self,
        call: Callable[[], T],
        *,
        rounds: int = 5,
        warmup: int = 1,
        each_call: bool = False,
        setup: Callable[[], None] | None = None,
    ) -> T:
        """See ``Bench.time``; ``setup`` is run before every round.

        With a ``setup`` the call is not run again for the times by events of the device: for
        what takes long, or changes what it works on.
        """
        result: T = self._timing.pedantic(
            call,
            mode="latency" if each_call else "throughput",
            setup=setup,
            rounds=rounds,
            warmup_rounds=warmup,
        )
        return result


def nothing() -> None:
    """A ``setup`` for what is not to be run again."""
