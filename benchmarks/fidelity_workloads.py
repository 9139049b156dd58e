"""The measurements of ``fidelity.py``; a test file, run by pytest in one process."""

from __future__ import annotations

import json
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.utils.benchmark import Timer

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS = int(os.environ.get("FIDELITY_PAIRS", "12"))

#: Calls that each tool times in one pair.
ROUNDS = int(os.environ.get("FIDELITY_ROUNDS", "100"))

#: Calls of one measurement of the large product.
CALLS = 5

SIDE = int(os.environ.get("FIDELITY_SIDE", "2048"))

torch.manual_seed(0)


def _matmul() -> Callable[[], Any]:
    a = torch.randn(256, 256)
    return lambda: a @ a


def _lstm() -> Callable[[], Any]:
    lstm, x = torch.nn.LSTM(64, 64), torch.randn(32, 8, 64)

    def run() -> Any:
        with torch.no_grad():
            return lstm(x)

    return run


def _training_step() -> Callable[[], Any]:
    network = torch.nn.Sequential(
        torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10)
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    x, y = torch.randn(64, 256), torch.randint(10, (64,))

    def run() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()

    return run


WORKLOADS = {"matmul 256": _matmul, "LSTM": _lstm, "training step": _training_step}


def leave(**found: Any) -> None:
    """Append one pair to the file of results."""
    with Path(os.environ["FIDELITY_OUT"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(found) + "\n")


@pytest.mark.frameworks("torch")
@pytest.mark.parametrize("workload", list(WORKLOADS))
@pytest.mark.parametrize("pair", range(PAIRS))
def test_median_beside_torch(pair: int, workload: str, device_benchmark: Any) -> None:
    """A call timed by torch, by torch again and by us, in turns, so that all share the noise."""
    call = WORKLOADS[workload]()
    timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
    theirs: list[float] = []
    again: list[float] = []

    def torch_times() -> None:
        theirs.append(timer.timeit(1).median)
        again.append(timer.timeit(1).median)
        for _ in range(2):  # as torch does before each of its own
            call()

    device_benchmark.pedantic(call, setup=torch_times, rounds=ROUNDS, warmup_rounds=5)
    leave(
        kind="median",
        workload=workload,
        pair=pair,
        ours=device_benchmark.stats.median,
        theirs=statistics.median(theirs[-ROUNDS:]),
        **{"theirs again": statistics.median(again[-ROUNDS:])},
    )


@pytest.mark.frameworks("torch", "numpy")
@pytest.mark.parametrize("pair", range(PAIRS))
def test_best_beside_a_bare_loop(pair: int, applesilicon: Any, device_benchmark: Any) -> None:
    """Our best time, and twice that of a loop with nothing in it but the clock."""
    values = np.random.default_rng(0).standard_normal((SIDE, SIDE), dtype=np.float32)
    square = applesilicon.framework.to_device(values, "cpu")

    def product() -> Any:
        return square @ square

    def ours() -> float:
        device_benchmark.pedantic(product, rounds=CALLS, warmup_rounds=1)
        return float(device_benchmark.stats.min)

    def bare() -> float:
        product()
        best = float("inf")
        for _ in range(CALLS):
            began = time.perf_counter()
            product()
            best = min(best, time.perf_counter() - began)
        return best

    tools = [("ours", ours), ("theirs", bare), ("theirs again", bare)]
    found = {name: tool() for name, tool in tools[pair % 3 :] + tools[: pair % 3]}
    leave(kind="best", workload=f"{applesilicon.framework.name} {SIDE}", pair=pair, **found)
