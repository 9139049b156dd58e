"""Ten workloads of different kinds for ``gate.py``; a test file, run by pytest.

Each call does ``UNITS`` equal units of work. The slowdown is real: it does more of them.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

#: Units of work a call does; the slower version does more of them.
UNITS = int(os.environ.get("GATE_UNITS", "10"))

torch.manual_seed(0)
torch.set_num_threads(1)


def _matmul() -> Callable[[], Any]:
    a, b = torch.randn(192, 192), torch.randn(192, 192)
    return lambda: a @ b


def _lstm() -> Callable[[], Any]:
    lstm, x = torch.nn.LSTM(32, 32), torch.randn(10, 4, 32)

    def run() -> Any:
        with torch.no_grad():
            return lstm(x)

    return run


def _training_step() -> Callable[[], Any]:
    network = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    x, y = torch.randn(32, 64), torch.randint(10, (32,))

    def run() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()

    return run


def _convolution() -> Callable[[], Any]:
    layer, x = torch.nn.Conv2d(8, 16, 3), torch.randn(1, 8, 32, 32)

    def run() -> Any:
        with torch.no_grad():
            return layer(x)

    return run


def _attention() -> Callable[[], Any]:
    q = torch.randn(1, 4, 64, 32)
    return lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q)


def _copy() -> Callable[[], Any]:
    source = torch.randn(2**17)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _softmax() -> Callable[[], Any]:
    x = torch.randn(16, 1024)
    return lambda: torch.softmax(x, dim=1)


def _small_operators() -> Callable[[], Any]:
    x = torch.randn(16)

    def run() -> Any:
        total = x
        for _ in range(100):
            total = total + x
        return total

    return run


def _sort() -> Callable[[], Any]:
    values = np.random.default_rng(0).standard_normal(5000)
    return lambda: np.sort(values)


def _python() -> Callable[[], Any]:
    document = {f"key {n}": [n, n * 0.5, str(n)] for n in range(30)}
    return lambda: json.loads(json.dumps(document))


WORKLOADS = {
    "matmul": _matmul,
    "lstm": _lstm,
    "training_step": _training_step,
    "convolution": _convolution,
    "attention": _attention,
    "copy": _copy,
    "softmax": _softmax,
    "small_operators": _small_operators,
    "sort": _sort,
    "python": _python,
}


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_workload(name: str, device_benchmark: Any) -> None:
    """Held against the baseline by the budget of ``gate.py``."""
    unit = WORKLOADS[name]()

    def work() -> None:
        for _ in range(UNITS):
            unit()

    device_benchmark.latency(work)
