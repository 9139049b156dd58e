"""What of ``suites/benchmarks`` needs a device that is not here, called with values of our own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from pytest_applesilicon.suites.benchmarks import (  # noqa: E402
    bench,
    child,
    models,
    test_device_memory,
    test_training_memory,
    wide,
)

MB = 1_000_000
TAKEN = test_device_memory.TAKEN


class Device:
    """An allocator of 10 GB that keeps what is let go, until it is told not to."""

    spec = "mps"
    device = "cpu"

    def __init__(self, *, keeps: bool = True, empties: bool = True) -> None:
        self.held = 0
        self.keeps, self.empties = keeps, empties
        self.left: dict[str, float] = {}
        self.applesilicon = self
        self.framework = self

    def synchronize(self) -> None:
        self.held = TAKEN if self.keeps else 0

    def empty_cache(self, spec: str) -> None:
        if self.empties:
            self.held = 0

    def time(self, call, *, rounds, warmup, setup):
        setup()
        return call()

    def leave(self, name: str, value: float, unit: str) -> None:
        self.left[name] = value

    def leave_time(self, name: str, unit: str = "s") -> None: ...


@pytest.fixture
def empty_cache(monkeypatch):
    def run(device: Device) -> dict[str, float]:
        monkeypatch.setattr(test_device_memory, "reserved", lambda spec: lambda: device.held)
        test_device_memory.test_empty_cache(device)
        return device.left

    return run


def test_empty_cache_gives_back_what_was_let_go(empty_cache):
    assert empty_cache(Device()) == {"given back by empty_cache": TAKEN / MB}


def test_empty_cache_that_gives_back_nothing_is_noticed(empty_cache):
    with pytest.raises(AssertionError, match="empty_cache gave back 0 bytes of 256,000,000"):
        empty_cache(Device(empties=False))


def test_allocator_that_keeps_nothing_is_noticed(empty_cache):
    with pytest.raises(AssertionError, match="keeps 0 bytes"):
        empty_cache(Device(keeps=False))


@pytest.mark.parametrize(
    ("spec", "says"), [("cpu", "the allocator of cpu keeps no memory")], ids=["cpu"]
)
def test_a_device_without_a_cache_is_skipped(spec: str, says: str):
    device = Device()
    device.spec = spec

    with pytest.raises(pytest.skip.Exception, match=says):
        test_device_memory.test_empty_cache(device)


@pytest.mark.parametrize("got", [500 * MB, 1000 * MB, 1100 * MB])
def test_a_limit_that_is_kept_is_accepted(got: int):
    test_device_memory.check_limit(f"{got} MPS backend out of memory (MPS allocated: ...", 10**10)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ("3000000000 no limit", "3,000,000,000 bytes were taken under 1,000,000,000: no limit"),
        ("900000000 command buffer exited", "command buffer exited"),
        ("0 MPS backend out of memory", "0 bytes were got under a limit of 1,000,000,000"),
        ("2000000000 MPS backend out of memory", "2,000,000,000 bytes were got"),
    ],
)
def test_a_limit_that_is_not_kept_is_noticed(said: str, match: str):
    with pytest.raises(AssertionError, match=match):
        test_device_memory.check_limit(said, 10**10)


def test_a_process_without_a_limit_says_so():
    code, _ = test_device_memory.limited("watermark", "cpu", 40 * MB)

    assert child.run(code) == "12000000 no limit\n"


def test_watermarks_are_set_together_and_in_the_process_alone():
    code, environment = test_device_memory.limited("watermark", "mps", 10**10)

    assert "set_per_process_memory_fraction" not in code
    assert environment[test_device_memory.HIGH] == "0.1"
    assert environment[test_device_memory.LOW] == "0.05"
    assert test_device_memory.HIGH not in os.environ


@pytest.mark.parametrize("spec", ["mps", "cuda:1"])
def test_a_fraction_is_set_before_memory_is_taken(spec: str):
    code, _ = test_device_memory.limited("memory fraction", spec, 10**10)

    call = f"torch.{spec.partition(':')[0]}.set_per_process_memory_fraction(0.1)"
    assert code.index(call) < code.index("torch.empty")


def test_a_new_process_that_fails_is_a_failure():
    with pytest.raises(AssertionError, match="no such thing"):
        child.run("raise SystemExit('no such thing')")


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 100, 1000])
def test_largest_batch_is_the_last_that_fits(limit: int):
    asked = []

    def fits(batch: int) -> bool:
        asked.append(batch)
        return batch <= limit

    assert test_training_memory.largest(fits, most=2**20) == limit
    assert len(asked) <= 22


def test_search_ends_where_everything_fits():
    assert test_training_memory.largest(lambda batch: True, most=64) == 64


def test_a_model_that_is_not_installed_is_a_skip(monkeypatch):
    monkeypatch.delenv(models.VARIABLE, raising=False)

    with pytest.raises(pytest.skip.Exception, match="pytest-applesilicon\\[models\\]"):
        models.need("no_such_package")


def test_a_model_that_is_required_and_not_installed_is_a_failure(monkeypatch):
    monkeypatch.setenv(models.VARIABLE, "required")

    with pytest.raises(pytest.fail.Exception, match="required: no_such_package is not installed"):
        models.need("no_such_package")


def test_another_word_than_the_accepted_ones_is_an_error(monkeypatch):
    monkeypatch.setenv(models.VARIABLE, "yes")

    with pytest.raises(pytest.fail.Exception, match="=yes: accepted are required, optional"):
        models.need("torch")


def test_progress_is_said_once_in_a_while(capsys):
    now = [0.0]
    say = bench.Progress("test_x", capsys, clock=lambda: now[0], every_s=10)
    said = []
    capsys_disabled = capsys.disabled

    def disabled():
        said.append(now[0])
        return capsys_disabled()

    capsys.disabled = disabled
    for _ in say.watch(range(40)):
        now[0] += 1

    assert said == [10, 20, 30]


def test_a_network_that_computes_in_half_is_off():
    network = models.lstm(16, seed=0)
    values = torch.randn(1, 8, 16, generator=torch.Generator().manual_seed(0))
    found = wide.forward(network, values)

    assert wide.check(network, found, wide.forward, values, seed=0) < 1
    found["output"] = found["output"].half().float()
    with pytest.raises(AssertionError, match="output is off by"):
        wide.check(network, found, wide.forward, values, seed=0)


def test_a_gradient_that_is_nan_is_off():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 3))
    values, labels = torch.ones(2, 8), torch.tensor([0, 2])
    found = wide.loss_and_gradients(network, values, labels)
    found["gradient of 1.weight"][0] = float("nan")

    with pytest.raises(AssertionError, match=r"1\.weight is off by nan"):
        wide.check(network, found, wide.loss_and_gradients, values, labels, seed=0)


#: A heap with free blocks between used ones, as other tests leave it, from which 60 MB are taken.
TAKEN_FROM_A_USED_HEAP = """
import torch
from pytest_applesilicon.suites.benchmarks.resident import resident_bytes

torch.empty(30_000_000, dtype=torch.uint8)  # glibc takes blocks up to this size from the heap now
blocks, others = [], []
for _ in range(100):
    blocks.append(torch.ones(2_100_000, dtype=torch.uint8))
    others.append(torch.ones(2_000, dtype=torch.uint8))
del blocks

before = resident_bytes()
taken = [torch.ones(2_000_000, dtype=torch.uint8) for _ in range(30)]
print(resident_bytes() - before)
"""


def test_resident_bytes_count_what_is_taken_from_freed_blocks():
    told = subprocess.run(
        [sys.executable, "-c", TAKEN_FROM_A_USED_HEAP], capture_output=True, text=True, check=True
    )

    assert 58 * MB < int(told.stdout) < 64 * MB
