"""Time work that a device does after its call has returned.

The fixture ``device_benchmark`` puts this on pytest-benchmark's own fixture:

    device_benchmark.latency(fn, *args)       # each call until the device has finished it
    device_benchmark.throughput(fn, *args)    # calls in a row, one wait for each round
    device_benchmark.pedantic(fn, mode="latency", args=(), kwargs=None, setup=None,
                              teardown=None, rounds=5, warmup_rounds=2, iterations=1)
    device_benchmark.benchmark                # pytest-benchmark's fixture: stats, extra_info
    device_benchmark.stats                    # ``benchmark.stats.stats``; None where disabled
    device_benchmark.timed                    # ``Timed``, below; None where disabled

Each returns what ``fn`` returned. A test that takes ``device`` and ``benchmark`` gets the
throughput timer without asking.

    timer = RoundTimer("torch", "mps", synchronize)   # timer.__name__: synchronized_torch_mps
    timer.mode = "latency"                            # ...: synchronized_torch_mps_per_call
    timer.before_round = work                         # run and timed before every round
    timer.rounds                                      # what was timed, a ``Round`` each
    sync_cost(synchronize) -> seconds                 # of waiting for a device that is idle
    warm_up(call) -> WarmUp(calls, first_s)           # until the times settle
    ProcessPeak().bytes_since()                       # most resident bytes since it was made

Knows nothing of pytest; a framework is reached through ``frameworks.measuring`` only.
"""

from __future__ import annotations

import inspect
import re
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_applesilicon.contention import Contention

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

Mode = Literal["latency", "throughput"]
MODES: tuple[Mode, ...] = ("latency", "throughput")

#: A warm-up ends when a call takes at most this much longer than the fastest one before it.
_SETTLED = 1.25
_LEAST_CALLS = 3
_MOST_CALLS = 50

#: Seconds after which a warm-up ends unsettled; its first call always ends.
_MOST_WARM_UP_S = 5.0


@dataclass(frozen=True)
class Round:
    """One round that was timed, in seconds."""

    seconds: float
    reference_s: tuple[float, ...] = ()
    """Of the reference workloads right before it; empty where none were run."""
    waited_s: float = 0.0
    """How long this thread waited for a CPU in it; known on Linux, beside a reference."""
    interrupted: bool = False
    """Whether the system took a CPU away from this process in it; known beside a reference."""


@dataclass(frozen=True)
class WarmUp:
    """What was run before anything was measured."""

    calls: int
    first_s: float
    """Of the first call, in which shaders are compiled and memory is taken."""


@dataclass(frozen=True)
class Timed:
    """What is known of a measurement beside the times of its rounds."""

    mode: Mode
    timer: str
    """``__name__`` of the timer, as pytest-benchmark's JSON has it."""
    sync_s: float
    """Waiting for an idle device; 0 where nothing has to be waited for."""
    first_call_s: float
    """Of the first call of the warm-up; 0 where there was none."""
    rounds: tuple[Round, ...]
    """Those that were measured, warm-up and calibration left out."""
    device_s: float | None = None
    """Median seconds of a call by events of the device."""
    device_peak_bytes: int | None = None
    process_peak_bytes: int | None = None


def name_of(framework: str, spec: str, mode: Mode = "throughput") -> str:
    """The name of a timer, the same in every run: ``synchronized_torch_mps``."""
    plain = re.sub(r"\W", "_", f"{framework}_{spec}")
    return f"synchronized_{plain}" + ("_per_call" if mode == "latency" else "")


def nothing() -> None:
    """Wait for a device that has always finished."""


class RoundTimer:
    """A clock that waits for the device, for one test; seconds.

    pytest-benchmark reads its timer twice in one frame, at the start and at the end of a
    round, and in a new frame for every round. So the start is known, and the reference
    workload is run before it.
    """

    def __init__(
        self,
        framework: str,
        spec: str,
        synchronize: Callable[[], object] | None,
        clock: Callable[[], float] = time.perf_counter,
        contention: Contention | None = None,
    ) -> None:
        self.mode: Mode = "throughput"
        self.before_round: Callable[[], tuple[float, ...]] | None = None
        self.rounds: list[Round] = []
        self._named = (framework, spec)
        self._synchronize = synchronize or nothing
        self._clock = clock
        self._frame: FrameType | None = None
        self._ended = False
        self._began = 0.0
        self._reference_s: tuple[float, ...] = ()
        self._contention = contention or Contention()
        self._switches = 0
        self._waited_s = 0.0

    @property
    def __name__(self) -> str:  # noqa: A003, RUF100 - pytest-benchmark prints it
        name = name_of(*self._named, self.mode)
        other = getattr(self._clock, "__name__", "clock")
        return name if other == "perf_counter" else f"{name}_{other}"

    def __call__(self) -> float:
        """Seconds, once the device has finished what was started before."""
        if self.mode == "throughput":  # in latency each call has waited already
            self._synchronize()
        # A wait is counted only if the clock saw it too: it is read inside of what is timed.
        waited_s = self._contention.waited_s() if self.before_round is not None else 0.0
        now = self._clock()
        current = inspect.currentframe()
        caller = current.f_back if current is not None else None
        if caller is not self._frame:
            return self._start(caller)
        if not self._ended:
            self._ended = True
            self.rounds.append(self._round(now - self._began, waited_s))
        return now

    def _round(self, seconds: float, waited_s: float) -> Round:
        if self.before_round is None:
            return Round(seconds)
        interrupted = self._contention.switches() != self._switches
        return Round(seconds, self._reference_s, waited_s - self._waited_s, interrupted)

    def _start(self, caller: FrameType | None) -> float:
        self._frame, self._ended = caller, False
        if self.before_round is not None:
            self._reference_s = self.before_round()
            self._switches = self._contention.switches()
        self._synchronize()
        self._began = self._clock()
        if self.before_round is not None:
            self._waited_s = self._contention.waited_s()
        return self._began

    def __eq__(self, other: object) -> bool:
        # pytest-benchmark finds out how precise a timer is once for all that are equal.
        return isinstance(other, RoundTimer) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return (self._named, self.mode, self._clock)

    def forget(self) -> None:
        """Let go of what belongs to the test."""
        self._frame, self.before_round = None, None
        self._contention.close()
        self.rounds = []

    def last(self, count: int) -> tuple[Round, ...]:
        """The ``count`` rounds that were timed last; the frame of the last one is let go."""
        self._frame = None
        return tuple(self.rounds[-count:]) if count else ()


def sync_cost(
    synchronize: Callable[[], object] | None,
    clock: Callable[[], float] = time.perf_counter,
    times: int = 20,
) -> float:
    """Median seconds of waiting for a device that has nothing to do."""
    if synchronize is None:
        return 0.0
    synchronize()
    costs = []
    for _ in range(times):
        began = clock()
        synchronize()
        costs.append(clock() - began)
    return statistics.median(costs)


def warm_up(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> WarmUp:
    """Call until the times settle: shaders are compiled, caches and allocators are filled.

    Args:
        call: the work, with the wait for the device.
        clock: seconds.
    """
    began = clock()
    seconds: list[float] = []
    while len(seconds) < _MOST_CALLS:
        start = clock()
        call()
        now = clock()
        seconds.append(now - start)
        settled = len(seconds) >= _LEAST_CALLS and seconds[-1] <= _SETTLED * min(seconds[:-1])
        if settled or now - began > _MOST_WARM_UP_S:
            break
    return WarmUp(len(seconds), seconds[0])


class ProcessPeak:
    """The most memory this process held since now, in resident bytes.

    Linux resets its mark on request (``proc(5)``, ``clear_refs``). Elsewhere the mark is of the
    whole life of the process, and is told only where it rose since.
    """

    _STATUS = Path("/proc/self/status")
    _CLEAR = Path("/proc/self/clear_refs")

    def __init__(self) -> None:
        self._reset = self._clear()
        self._before = self._lifetime() if not self._reset else 0

    def bytes_since(self) -> int | None:
        """``None`` where the system tells no more than that it was higher before."""
        if self._reset:
            found = re.search(r"VmHWM:\s*(\d+) kB", self._STATUS.read_text(encoding="ascii"))
            return int(found[1]) * 1024 if found else None
        now = self._lifetime()
        return now if now > self._before else None

    def _clear(self) -> bool:
        try:
            self._CLEAR.write_text("5", encoding="ascii")
        except OSError:
            return False
        return True

    def _lifetime(self) -> int:
        try:
            import resource
            import sys
        except ImportError:  # Windows
            return 0
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak) * (1 if sys.platform == "darwin" else 1024)
