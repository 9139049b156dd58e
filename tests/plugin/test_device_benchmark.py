"""pytest-benchmark's fixture on a device: the timers, the two modes, and who takes it away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("numpy_only")

#: A device that works while the host waits for it, and a wait that costs 200 us.
FAKE_DEVICE = """
from pytest_applesilicon.frameworks import measuring

class Device:
    now = 0.0
    pending = 0.0

    def clock(self):
        self.now += 1e-8
        return self.now

    def start(self, seconds=1e-3):
        self.now += 1e-6
        self.pending += seconds
        return "started"

    def synchronize(self):
        self.now += max(self.pending, 0.0) + 200e-6
        self.pending = 0.0

fake = Device()
clock = fake.clock
measuring.synchronizer = lambda framework, spec: fake.synchronize
"""

MODES = """
import pytest
from conftest import clock, fake

pytestmark = pytest.mark.benchmark(timer=clock, max_time=0.2)

def test_latency(device_benchmark):
    assert device_benchmark.latency(fake.start) == "started"
    assert device_benchmark.timed.mode == "latency"
    assert len(device_benchmark.timed.rounds) == len(device_benchmark.stats.data)

def test_throughput(device_benchmark):
    device_benchmark.throughput(fake.start, seconds=1e-3)

def test_short_throughput(device_benchmark):
    device_benchmark.throughput(fake.start, 5e-6)

@pytest.mark.benchmark(timer=clock)
def test_pedantic(device_benchmark):
    def setup():
        fake.start(0.5)
        return (1e-3,), {}
    device_benchmark.pedantic(fake.start, setup=setup, rounds=7)

def test_plain_fixture(device, benchmark):
    benchmark(fake.start)
"""


@pytest.fixture
def timings(pytester, run, report):
    """The timings of the tests of ``MODES``, as our report and pytest-benchmark's JSON have them."""
    pytester.makeconftest(FAKE_DEVICE)
    pytester.makepyfile(MODES)
    result = run(
        "--device=cpu", "--applesilicon-report=report.json", "--benchmark-json=benchmark.json"
    )
    result.assert_outcomes(passed=5)
    theirs = json.loads((Path(pytester.path) / "benchmark.json").read_text())["benchmarks"]
    name = {one["test_id"].partition("::")[2]: one["timing"] for one in report()["records"]}
    return name, {one["name"]: one for one in theirs}


def test_modes_come_out_right_where_a_wait_costs_200_us(timings):
    ours, theirs = timings

    # A call costs 1 us to start and 1 ms to do; a wait costs 200 us beside.
    assert ours["test_latency[cpu]"]["median_s"] == pytest.approx(1.201e-3, rel=0.01)
    assert ours["test_throughput[cpu]"]["median_s"] == pytest.approx(1.001e-3, rel=0.02)
    assert ours["test_short_throughput[cpu]"]["median_s"] == pytest.approx(6e-6, rel=0.02)
    assert ours["test_pedantic[cpu]"]["median_s"] == pytest.approx(1.201e-3, rel=0.01)
    assert ours["test_plain_fixture[cpu]"]["median_s"] == pytest.approx(1.001e-3, rel=0.02)
    assert ours["test_pedantic[cpu]"]["rounds"] == 7
    for name in ours:
        assert theirs[name]["stats"]["median"] == ours[name]["median_s"]


def test_modes_timers_and_the_wait_are_named(timings):
    ours, theirs = timings

    modes = {name: one["mode"] for name, one in ours.items()}
    assert modes == {
        "test_latency[cpu]": "latency",
        "test_throughput[cpu]": "throughput",
        "test_short_throughput[cpu]": "throughput",
        "test_pedantic[cpu]": "latency",
        "test_plain_fixture[cpu]": "throughput",
    }
    assert theirs["test_latency[cpu]"]["options"]["timer"] == (
        "synchronized_numpy_cpu_per_call_clock"
    )
    assert theirs["test_plain_fixture[cpu]"]["options"]["timer"] == "synchronized_numpy_cpu_clock"
    assert theirs["test_latency[cpu]"]["extra_info"]["mode"] == "latency"
    assert theirs["test_latency[cpu]"]["extra_info"]["synchronization_s"] < 1.0
    assert ours["test_latency[cpu]"]["process_peak_bytes"] > 10 * 2**20


def test_options_of_the_marker_keep_working(pytester, run):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.benchmark(group="mine", min_rounds=3, max_time=0.001, warmup=False)
        def test_it(device_benchmark):
            device_benchmark.latency(sum, range(100_000))
            assert device_benchmark.benchmark.group == "mine"
            assert device_benchmark.stats.rounds == 3
        """
    )

    run("--device=cpu").assert_outcomes(passed=1)


def test_only_benchmarks_run_where_that_is_asked(pytester, run):
    pytester.makepyfile(
        """
        def test_timed(device_benchmark):
            device_benchmark.throughput(sum, range(10))

        def test_other():
            pass
        """
    )

    run("--device=cpu", "--benchmark-only").assert_outcomes(passed=1, skipped=1)


@pytest.mark.parametrize("option", [["--benchmark-disable"], ["-n", "1"]])
def test_nothing_is_measured_where_benchmarks_are_disabled(pytester, run, report, option):
    pytester.makepyfile(
        """
        def test_it(device_benchmark):
            calls = []
            assert device_benchmark.latency(lambda: calls.append(1) or len(calls)) == 1
            assert device_benchmark.stats is device_benchmark.timed is None
        """
    )

    run("--device=cpu", "--applesilicon-report=report.json", *option).assert_outcomes(passed=1)

    assert report()["records"][0]["timing"] is None


def test_without_pytest_benchmark_the_message_says_so(pytester, run):
    pytester.makepyfile("def test_it(device_benchmark): pass")

    result = run("--device=cpu", "-p", "no:benchmark")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*device_benchmark times with pytest-benchmark, which is switched*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*fixture 'benchmark' not found*")


def test_another_fixture_of_that_name_is_named(pytester, run):
    pytester.makepyfile(
        pytest_codspeed="""
        import pytest
        import pytest_benchmark.fixture

        class BenchmarkFixture:
            __class__ = pytest_benchmark.fixture.BenchmarkFixture

            def __call__(self, function, *args):
                return function(*args)

        @pytest.fixture
        def benchmark():
            return BenchmarkFixture()
        """
    )
    pytester.makepyfile("def test_it(device_benchmark): pass")
    pytester.makeconftest("from pytest_codspeed import benchmark")

    result = run("--device=cpu")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*comes from pytest_codspeed; run without it*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_codspeed_gets_no_marker_that_it_refuses(pytester, run):
    pytester.makeconftest(
        """
        import pytest
        import pytest_benchmark.fixture

        class CodSpeed:
            is_codspeed_enabled = True

        class BenchmarkFixture:
            __class__ = pytest_benchmark.fixture.BenchmarkFixture
            stats = None

            def __call__(self, function, *args):
                return function(*args)

        def pytest_configure(config):
            config.pluginmanager.register(CodSpeed(), "codspeed_plugin")

        @pytest.fixture
        def benchmark(request):
            assert request.node.get_closest_marker("benchmark") is None
            return BenchmarkFixture()
        """
    )
    pytester.makepyfile("def test_it(device, benchmark): assert benchmark(len, 'abc') == 3")

    run("--device=cpu").assert_outcomes(passed=1)


def test_mode_that_does_not_exist_is_named(pytester, run):
    pytester.makepyfile(
        "def test_it(device_benchmark): device_benchmark.pedantic(len, args=('a',), mode='fast')"
    )

    result = run("--device=cpu")

    result.stdout.fnmatch_lines(["*mode='fast' is not accepted; give latency or throughput*"])
