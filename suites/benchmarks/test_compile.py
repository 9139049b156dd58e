"""A network compiled by ``torch.compile``: how long that takes, and what it gains."""

from __future__ import annotations

import importlib.util
import shutil
import time
import warnings
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch", reason="written for torch")

import torch

from . import wide

if TYPE_CHECKING:
    from .bench import DeviceBench

pytestmark = pytest.mark.frameworks("torch")

BATCH, SIZE = 64, 512


def missing(bench: DeviceBench) -> str:
    """What torch.compile needs and this machine lacks; empty where nothing is."""
    if bench.applesilicon.health.simulated:
        return "torch.compile generates no code for a simulated device"
    if bench.spec == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        return "torch.compile needs a C++ compiler for the CPU, and none was found"
    if bench.spec.startswith("cuda") and importlib.util.find_spec("triton") is None:
        return "torch.compile needs triton for CUDA, which is not installed"
    return ""


def network(seed: int) -> torch.nn.Module:
    """Two layers with what a compiler fuses: a bias, GELU, a normalisation."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(SIZE, SIZE),
        torch.nn.GELU(),
        torch.nn.LayerNorm(SIZE),
        torch.nn.Linear(SIZE, SIZE),
    )


def test_compiled(bench: DeviceBench) -> None:
    reason = missing(bench)
    if reason:
        pytest.skip(reason)
    plain = network(bench.settings.seed).to(bench.device).eval()
    draw = torch.Generator().manual_seed(bench.settings.seed)
    values = torch.randn(BATCH, SIZE, generator=draw)
    there = values.to(bench.device)
    torch.compiler.reset()
    with torch.no_grad(), warnings.catch_warnings():
        # The compiler of torch 2.13 imports parts of torch that are deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        compiled = torch.compile(plain)
        began = time.perf_counter()
        compiled(there)
        bench.applesilicon.synchronize()
        took = time.perf_counter() - began

        found = bench.time(lambda: compiled(there), rounds=50, warmup=5)

        eager = seconds_of(lambda: plain(there), bench, rounds=50, warmup=5)

    wide.check(plain, {"output": found}, wide.forward, values, seed=bench.settings.seed)
    bench.leave_time("compiled network", "ms")
    bench.leave("torch.compile of it", took, "s")
    if bench.median_s is not None:
        bench.leave("compiled, times as fast as eager", eager / bench.median_s, "")


def seconds_of(call: object, bench: DeviceBench, *, rounds: int, warmup: int) -> float:
    """Median seconds of a call that is compared with the one that is timed."""
    import statistics

    assert callable(call)
    found = []
    for number in range(rounds + warmup):
        began = time.perf_counter()
        call()
        bench.applesilicon.synchronize()
        if number >= warmup:
            found.append(time.perf_counter() - began)
    return statistics.median(found)
