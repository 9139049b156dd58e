"""Timers and warm-up, with a clock and a device that only move when they are told to."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from pytest_applesilicon.timing import (
    RoundTimer,
    name_of,
    nothing,
    sync_cost,
    warm_up,
)

SYNC_S = 200e-6


class Device:
    """Work is queued in no time and done while the host waits; a wait costs 200 us besides."""

    def __init__(self, sync_s: float = SYNC_S) -> None:
        self.now = 0.0
        self.pending = 0.0
        self.sync_s = sync_s

    def clock(self) -> float:
        return self.now

    def start(self, seconds: float) -> None:
        self.pending += seconds

    def synchronize(self) -> None:
        self.now += self.pending + self.sync_s
        self.pending = 0.0


def run_round(timer, call, iterations=1):
    """As pytest-benchmark's runner: the timer at the start and the end, in one frame."""
    start = timer()
    for _ in range(iterations):
        call()
    end = timer()
    return end - start


def test_names_are_stable():
    assert name_of("torch", "mps") == "synchronized_torch_mps"
    assert name_of("torch", "mps", "latency") == "synchronized_torch_mps_per_call"
    assert name_of("torch", "mps-sim") == "synchronized_torch_mps_sim"
    assert name_of("jax", "cuda:1") == "synchronized_jax_cuda_1"


def test_another_clock_is_in_the_name():
    timer = RoundTimer("torch", "cpu", None, clock=Device().clock)

    assert timer.__name__ == "synchronized_torch_cpu_clock"
    assert RoundTimer("torch", "cpu", None).__name__ == "synchronized_torch_cpu"


def test_throughput_waits_once_a_round():
    device = Device()
    timer = RoundTimer("torch", "mps", device.synchronize, device.clock)

    seconds = run_round(timer, lambda: device.start(1e-3), iterations=1000)

    assert seconds == pytest.approx(1000 * 1e-3 + SYNC_S)
    assert [one.seconds for one in timer.last(1)] == [seconds]


def test_latency_has_one_wait_in_each_call_and_none_of_the_timer():
    device = Device()
    timer = RoundTimer("torch", "mps", device.synchronize, device.clock)
    timer.mode = "latency"

    def call():
        device.start(1e-3)
        device.synchronize()

    assert run_round(timer, call) == pytest.approx(1e-3 + SYNC_S)
    assert run_round(timer, call, iterations=10) == pytest.approx(10 * (1e-3 + SYNC_S))


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_work_that_was_started_before_the_round_is_not_in_it(mode):
    device = Device()
    timer = RoundTimer("torch", "mps", device.synchronize, device.clock)
    timer.mode = mode
    device.start(5.0)

    assert run_round(timer, device.synchronize) < 2.5 * SYNC_S


def test_reference_runs_before_every_round_and_is_in_none():
    device = Device(sync_s=0.0)
    timer = RoundTimer("torch", "mps", device.synchronize, device.clock)
    references = itertools.count(1)

    def reference():
        device.start(100.0)
        device.synchronize()
        return (float(next(references)),)

    timer.before_round = reference

    seconds = [run_round(timer, lambda: device.start(0.5), iterations=2) for _ in range(3)]

    assert seconds == [1.0, 1.0, 1.0]
    assert [one.reference_s for one in timer.last(2)] == [(2.0,), (3.0,)]


def test_wait_for_a_cpu_is_counted_only_where_the_clock_saw_it():
    device = Device(sync_s=0.0)

    class Contention:
        """The CPU is taken away for 1 s whenever somebody looks."""

        waited = 0.0

        def waited_s(self):
            self.waited += 1.0
            device.now += 1.0
            return self.waited

        def switches(self):
            return 0

    timer = RoundTimer("torch", "cpu", None, device.clock, contention=Contention())
    timer.before_round = lambda: (1.0,)

    run_round(timer, lambda: device.start(0.0))

    # Both looks are inside the round: the first ends in it, and is not counted.
    assert timer.last(1)[0].seconds == 2.0
    assert timer.last(1)[0].waited_s == 1.0


def test_looking_for_the_precision_is_one_round_with_one_reference():
    device = Device(sync_s=1e-6)
    timer = RoundTimer("torch", "mps", device.synchronize, device.clock)
    timer.before_round = lambda: (1.0,)

    precision = timer()
    for _ in range(101):
        before, precision = precision, timer()

    assert precision - before == pytest.approx(1e-6)
    assert len(timer.rounds) == 1


def test_timers_of_one_device_and_clock_are_equal():
    device = Device()
    one, other = (RoundTimer("torch", "mps", None, device.clock) for _ in range(2))

    assert one == other
    assert hash(one) == hash(other)
    other.mode = "latency"
    assert one != other
    assert one != RoundTimer("torch", "cpu", None, device.clock)


def test_sync_cost_is_of_an_idle_device():
    device = Device()
    device.start(3.0)

    assert sync_cost(device.synchronize, device.clock) == pytest.approx(SYNC_S)
    assert sync_cost(None) == 0.0


def test_warm_up_goes_on_until_the_times_settle():
    device = Device()
    took = iter([4.0, 0.5, 0.3, 0.2, 0.1, 0.1, 9.9])

    def call():
        device.now += next(took)

    found = warm_up(call, device.clock)

    assert found.first_s == 4.0
    # The first call lasts 4 s, and 5 s are allowed: 4 + 0.5 + 0.3 is the least of three calls.
    assert found.calls == 3


def test_warm_up_ends_unsettled():
    device = Device()
    slower = itertools.count(1)

    def call():
        device.now += 0.01 * 2 ** next(slower)

    assert warm_up(call, device.clock).calls == 8


def test_warm_up_of_one_very_slow_call_is_one_call():
    device = Device()

    def call():
        device.now += 60.0

    assert warm_up(call, device.clock).calls == 1


def test_nothing_to_wait_for():
    assert nothing() is None


#: In a process of its own: one that held more before does not rise again.
HOLDS = """
from pytest_applesilicon.timing import ProcessPeak
peak = ProcessPeak()
before = peak.bytes_since()
block = bytearray(64 * 2**20)
block[::4096] = b"x" * len(block[::4096])
print(before or 0, peak.bytes_since())
"""


def test_peak_of_this_process_rises_with_what_it_holds():
    done = subprocess.run(
        [sys.executable, "-c", HOLDS], capture_output=True, text=True, check=True, timeout=60
    )

    before, after = map(int, done.stdout.split())
    assert after >= before + 32 * 2**20
