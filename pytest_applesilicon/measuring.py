"""pytest-benchmark's fixture on a device: the timer of a test, and ``device_benchmark``."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import workers
from pytest_applesilicon.frameworks import measuring
from pytest_applesilicon.marks import target_of
from pytest_applesilicon.regression import blocks
from pytest_applesilicon.timing import (
    MODES,
    ProcessPeak,
    RoundTimer,
    Timed,
    WarmUp,
    sync_cost,
    warm_up,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.records import Target
    from pytest_applesilicon.timing import Mode

#: The timer of a test, made in its setup.
TIMER = pytest.StashKey[RoundTimer]()

#: What the fixture measured beside pytest-benchmark's statistics.
TIMED = pytest.StashKey[Timed]()

#: Measures once more what the fixture measured; returns its ``regression.blocks``.
AGAIN = pytest.StashKey[Any]()

#: The ``regression.blocks`` of a second measurement, for a baseline.
MORE_BLOCKS = pytest.StashKey[tuple[tuple[float, ...], ...]]()

_ASKED = pytest.StashKey[dict[str, Any]]()

#: The marker of pytest-benchmark, which is its fixture's name too.
_BENCHMARK = "benchmark"

#: A throughput round holds so many waits that one wait is a hundredth of it;
#: pytest-benchmark's own 10 would leave a tenth of the round to the wait.
_CALIBRATION_PRECISION = 100

#: Rounds of a second measurement, while the time lasts that pytest-benchmark may take; and those
#: it makes at least before it ends because that time has passed twice.
_ROUNDS_AGAIN = 200
_LEAST_ROUNDS_AGAIN = 5

#: Calls between two events of the device each, beside the rounds that are timed.
_EVENTS = 5


def takes_benchmark(item: pytest.Item) -> bool:
    """Whether pytest-benchmark, or our fixture on it, times something in this test."""
    names = getattr(item, "fixturenames", ())
    return _BENCHMARK in names or "device_benchmark" in names


class Measuring:
    """The hooks that give a test the timer of its device, before its fixtures are made."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Let pytest-benchmark see that it is used: it looks for its own name in the test."""
        for item in items if not missing(config) else ():
            names: list[str] = getattr(item, "fixturenames", [])
            if "device_benchmark" in names and _BENCHMARK not in names:
                names.append(_BENCHMARK)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        target = target_of(item)
        if target is None or not takes_benchmark(item) or missing(item.config):
            return
        if taken_over(item.config):
            return  # CodSpeed refuses a marker with a timer
        if _ASKED not in item.stash:  # a repeated test has our marker already
            mark = item.get_closest_marker(_BENCHMARK)
            if mark is not None and mark.args:
                return  # pytest-benchmark says what is wrong with it
            item.stash[_ASKED] = dict(mark.kwargs) if mark is not None else {}
        asked = item.stash[_ASKED]
        wait = measuring.synchronizer(target.framework, target.device)
        timer = RoundTimer(target.framework, target.device, wait, _clock(item.config, asked))
        item.stash[TIMER] = timer
        if TIMED in item.stash:
            del item.stash[TIMED]
        if MORE_BLOCKS in item.stash:
            del item.stash[MORE_BLOCKS]
        options = {"calibration_precision": _CALIBRATION_PRECISION, **asked, "timer": timer}
        item.add_marker(pytest.mark.benchmark(**options), append=False)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        # pytest-benchmark keeps every timer; ours must not keep the arrays of its test.
        if TIMER in item.stash:
            item.stash[TIMER].forget()
        if AGAIN in item.stash:
            del item.stash[AGAIN]


def missing(config: pytest.Config) -> bool:
    """Whether pytest-benchmark is switched off (``-p no:benchmark``)."""
    return not config.pluginmanager.hasplugin(_BENCHMARK)


def taken_over(config: pytest.Config) -> bool:
    """Whether CodSpeed has put its own fixture in the place of pytest-benchmark's."""
    plugin = config.pluginmanager.get_plugin("codspeed_plugin")
    return bool(getattr(plugin, "is_codspeed_enabled", False))


def _clock(config: pytest.Config, asked: dict[str, Any]) -> Callable[[], float]:
    """The clock that the test's marker or ``--benchmark-timer`` names."""
    if "timer" in asked:
        clock: Callable[[], float] = asked["timer"]
        return clock
    from pytest_benchmark.utils import load_timer

    named: Callable[[], float] = load_timer(config.getoption("benchmark_timer")).target
    return named


@dataclass(frozen=True)
class _Work:
    """What a round does, as pytest-benchmark was given it."""

    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    setup: Callable[[], Any] | None
    teardown: Callable[..., Any] | None

    def round(self, timer: RoundTimer, iterations: int) -> None:
        args, kwargs = self.args, self.kwargs
        made = self.setup() if self.setup is not None else None
        if made:
            args, kwargs = made
        _timed(timer, partial(self.call, *args, **kwargs), iterations)
        if self.teardown is not None:
            self.teardown(*args, **kwargs)


def _timed(timer: RoundTimer, call: Callable[[], Any], iterations: int) -> None:
    """A round: the timer at the start and the end, in a frame of its own."""
    timer()
    for _ in range(iterations):
        call()
    timer()


class DeviceBenchmark:
    """Times a function on the device of its test, with pytest-benchmark's fixture."""

    def __init__(self, benchmark: Any, target: Target, item: pytest.Item) -> None:
        self.benchmark = benchmark
        self.timed: Timed | None = None
        self._target = target
        self._item = item
        self._timer = item.stash[TIMER]
        self._wait = measuring.synchronizer(target.framework, target.device)

    @property
    def stats(self) -> Any:
        """pytest-benchmark's statistics; ``None`` where nothing is measured."""
        return None if self.benchmark.stats is None else self.benchmark.stats.stats

    @property
    def extra_info(self) -> dict[str, Any]:
        found: dict[str, Any] = self.benchmark.extra_info
        return found

    def latency(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Time each call until the device has finished it; returns what the last one returned."""
        return self._calibrated("latency", function, args, kwargs)

    def throughput(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Time calls in a row, with one wait for the device at the end of each round."""
        return self._calibrated("throughput", function, args, kwargs)

    def pedantic(
        self,
        function: Callable[..., Any],
        *,
        mode: Mode = "latency",
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        rounds: int = 5,
        warmup_rounds: int = 2,
        iterations: int = 1,
    ) -> Any:
        """pytest-benchmark's ``pedantic`` in one of the two modes.

        Raises:
            ValueError: ``mode`` is neither latency nor throughput.
        """
        call = self._begin(mode, function)
        setup_and_wait = partial(_then, setup, self._wait) if setup and self._wait else setup
        run = partial(
            self.benchmark.pedantic,
            call,
            args=args,
            kwargs=kwargs,
            setup=setup_and_wait,
            teardown=teardown,
            rounds=rounds,
            warmup_rounds=warmup_rounds,
            iterations=iterations,
        )
        if not self.benchmark.enabled:
            return run()
        peak = self._watch_memory()
        result = run()
        first_s = self._timer.rounds[0].seconds / iterations if warmup_rounds else 0.0
        bare = partial(function, *args, **(kwargs or {})) if setup is None else None
        self._end(mode, WarmUp(warmup_rounds * iterations, first_s), bare, peak)
        self._keep(_Work(call, args, kwargs or {}, setup_and_wait, teardown))
        return result

    def _calibrated(
        self, mode: Mode, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        call = self._begin(mode, function)
        if not self.benchmark.enabled:
            return self.benchmark(call, *args, **kwargs)
        bare = partial(function, *args, **kwargs)
        peak = self._watch_memory()
        warm = warm_up(partial(_then, partial(call, *args, **kwargs), self._wait))
        result = self.benchmark(call, *args, **kwargs)
        self._end(mode, warm, bare, peak)
        self._keep(_Work(call, args, kwargs, None, None))
        return result

    def _keep(self, work: _Work) -> None:
        """Leave what can measure once more: as many rounds, or more where they were few."""
        iterations = int(self.benchmark.stats.iterations)
        asked_s = float(self._item.stash[_ASKED].get("max_time", self._max_time_s()))

        def again() -> tuple[tuple[float, ...], ...]:
            began, count = time.perf_counter(), 0
            # On a busy machine the first call takes long, and pytest-benchmark plans few rounds.
            while count < len(self.stats.data) or (
                count < _ROUNDS_AGAIN and time.perf_counter() - began < asked_s
            ):
                work.round(self._timer, iterations)
                count += 1
                if count >= _LEAST_ROUNDS_AGAIN and time.perf_counter() - began > 2 * asked_s:
                    break
            return blocks(self._timer.last(count), iterations)

        self._item.stash[AGAIN] = again

    def _max_time_s(self) -> float:
        return float(self._item.config.getoption("benchmark_max_time"))

    def _begin(self, mode: Mode, function: Callable[..., Any]) -> Callable[..., Any]:
        """The call as it is timed: in latency it waits for the device."""
        if mode not in MODES:
            raise ValueError(f"mode={mode!r} is not accepted; give {' or '.join(MODES)}")
        self._timer.mode = mode
        finish = measuring.finisher(self._target.framework, wait=mode == "latency")
        wait = self._wait if mode == "latency" else None
        if finish is None and wait is None:
            return function

        def call(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            if finish is not None:
                finish(result)
            if wait is not None:
                wait()
            return result

        return call

    def _watch_memory(self) -> ProcessPeak:
        measuring.reset_peak(self._target.framework, self._target.device)
        return ProcessPeak()

    def _end(
        self, mode: Mode, warm: WarmUp, bare: Callable[[], Any] | None, peak: ProcessPeak
    ) -> None:
        framework, spec = self._target.framework, self._target.device
        device_peak, process_peak = measuring.peak_bytes(framework, spec), peak.bytes_since()
        self.timed = Timed(
            mode=mode,
            timer=self._timer.__name__,
            sync_s=sync_cost(self._wait, time.perf_counter),
            first_call_s=warm.first_s,
            rounds=self._timer.last(len(self.stats.data)),
            device_s=self._device_seconds(bare),
            device_peak_bytes=device_peak,
            process_peak_bytes=process_peak,
        )
        self._item.stash[TIMED] = self.timed
        self.extra_info.update(
            mode=mode,
            synchronization_s=self.timed.sync_s,
            first_call_s=self.timed.first_call_s,
            device_s=self.timed.device_s,
            device_peak_bytes=device_peak,
            process_peak_bytes=process_peak,
        )

    def _device_seconds(self, bare: Callable[[], Any] | None) -> float | None:
        if bare is None:
            return None
        framework, spec = self._target.framework, self._target.device
        found = [measuring.event_seconds(framework, spec, bare) for _ in range(_EVENTS)]
        known = [seconds for seconds in found if seconds is not None]
        return statistics.median(known) if known else None


def _then(call: Callable[[], Any], wait: Callable[[], object] | None) -> Any:
    result = call()
    if wait is not None:
        wait()
    return result


def device_benchmark(request: pytest.FixtureRequest, target: Target) -> DeviceBenchmark:
    """The fixture's value; the test fails with one line where pytest-benchmark is not there."""
    item = request.node
    if missing(request.config):
        pytest.fail(
            "device_benchmark times with pytest-benchmark, which is switched off "
            "(-p no:benchmark); run without that option",
            pytrace=False,
        )
    benchmark = request.getfixturevalue(_BENCHMARK)
    # CodSpeed's class pretends to be pytest-benchmark's; its own module tells.
    module = type(benchmark).__module__
    if module.partition(".")[0] != "pytest_benchmark" or TIMER not in item.stash:
        pytest.fail(
            f"device_benchmark times with pytest-benchmark, and the fixture benchmark of this run "
            f"comes from {module}; run without it (for CodSpeed: without --codspeed, "
            "or with -p no:codspeed)",
            pytrace=False,
        )
    return DeviceBenchmark(benchmark, target, item)


def register(config: pytest.Config) -> None:
    """Time tests in the processes that run them."""
    if not workers.is_distributed(config):
        config.pluginmanager.register(Measuring())
