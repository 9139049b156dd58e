"""Samples of memory and CPU while the tests run, with the test that was running.

A thread reads what the system says of this process. The memory of the device is asked in the
main thread, when a test ends: torch's MPS backend is not made for several threads
(pytorch#197805). Needs psutil, which is imported when a monitor starts.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pytest_applesilicon.records import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

#: Samples kept; from then on every second one is dropped and the interval doubled, so that a
#: run of a day leaves a picture of the same size.
_MOST_SAMPLES = 2000


class Monitor:
    """Samples this process until it is stopped."""

    def __init__(
        self,
        interval_s: float,
        look: Callable[[], tuple[int, float]] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._interval_s = interval_s
        self._look = look or look_at_this_process()
        self._clock = clock
        self._began = clock()
        self._last = (self._began, self._look()[1])
        self._samples: list[Sample] = []
        self._test = ""
        self._device_bytes: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="applesilicon-monitor", daemon=True)

    @property
    def samples(self) -> tuple[Sample, ...]:
        return tuple(self._samples)

    def start(self) -> None:
        """Begin to sample, every ``interval_s`` seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Take a last sample and end the thread."""
        if not self._ended.is_set():
            self._ended.set()
            if self._thread.ident is not None:
                self._thread.join()
            self.sample()

    def running(self, test_id: str) -> None:
        """Name the test that runs from now on."""
        self._test = test_id

    def device_holds(self, size: int | None) -> None:
        """Take in the bytes that are allocated on the device."""
        self._device_bytes = size

    def sample(self) -> None:
        """Take one sample now."""
        now = self._clock()
        resident, cpu_s = self._look()
        before, cpu_before = self._last
        share = (cpu_s - cpu_before) / (now - before) if now > before else 0.0
        self._last = (now, cpu_s)
        self._samples.append(
            Sample(now - self._began, resident, 100 * share, self._device_bytes, self._test)
        )
        if len(self._samples) >= _MOST_SAMPLES:
            self._samples = self._samples[::2]
            self._interval_s *= 2

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            self.sample()


def look_at_this_process() -> Callable[[], tuple[int, float]]:
    """Resident bytes and CPU seconds of this process, from psutil.

    Raises:
        ImportError: psutil is not installed.
    """
    import psutil

    process = psutil.Process()

    def look() -> tuple[int, float]:
        with process.oneshot():
            times = process.cpu_times()
            return int(process.memory_info().rss), float(times.user + times.system)

    return look
