"""What a call on the simulated MPS device costs above the CPU, both measured in one run.

    OMP_NUM_THREADS=1 python benchmarks/simulation_overhead.py

One call: 8x8 float32, no gradient, one thread, best of 7 rounds of 3,000, the devices taking
turns. A training step: best of 7 rounds. Times are CPU time of the process, so that other
work on the machine does not count. The exit status is 1 where a limit is exceeded.
"""

from __future__ import annotations

import sys
import time
import timeit
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Rounds, and calls in a round.
ROUNDS, CALLS = 7, 3000

#: Microseconds that a call may cost above the CPU.
CALL_LIMITS_US = {"x + y": 10.0}

#: How many times as long as on the CPU a training step may take.
STEP_LIMITS = {"TransformerEncoder": 3.0, "LSTM": 4.0, "convnet": 2.0}

STATEMENTS = (
    "x + y",
    "x * 2.0",
    "x.add_(y)",
    "x @ y",
    "x.relu()",
    "x.sum()",
    "x.view(64)",
    "x[1:]",
    "x[0] = 1.0",
    "x[0, 0].item()",
    "torch.zeros(8, 8, device=device)",
    "x.to('cpu')",
)


def main() -> int:
    """Measure and print; nonzero where a limit is exceeded."""
    import torch

    from pytest_applesilicon.simulate import device

    torch.set_num_threads(1)
    device.install(fallback=True)
    exceeded = [*_calls(torch), *_steps(torch)]
    for line in exceeded:
        print(f"EXCEEDED: {line}")
    return 1 if exceeded else 0


def _calls(torch: Any) -> list[str]:
    print(f"{'call':34} {'cpu':>8} {'mps-sim':>8} {'more':>8}  microseconds")
    exceeded = []
    for statement in STATEMENTS:
        timers = []
        for name in ("cpu", "mps"):
            names = {"torch": torch, "device": name}
            names |= {key: torch.randn(8, 8).to(name) for key in "xy"}
            timers.append(timeit.Timer(statement, timer=time.process_time, globals=names))
        with torch.no_grad():
            best = _taking_turns([lambda t=t: t.timeit(CALLS) for t in timers])  # type: ignore[misc]
        cpu, simulated = (seconds / CALLS * 1e6 for seconds in best)
        print(f"{statement:34} {cpu:8.2f} {simulated:8.2f} {simulated - cpu:8.2f}")
        limit = CALL_LIMITS_US.get(statement)
        if limit is not None and simulated - cpu > limit:
            exceeded.append(f"{statement}: {simulated - cpu:.1f} us above the CPU, {limit} allowed")
    return exceeded


def _taking_turns(rounds: list[Callable[[], float]]) -> list[float]:
    """The best time of each, measured in turns so that both meet the same machine."""
    times = [[one() for one in rounds] for _ in range(ROUNDS)]
    return [min(column) for column in zip(*times, strict=True)]


def _networks(torch: Any) -> dict[str, tuple[Callable[[], Any], tuple[int, ...]]]:
    nn = torch.nn
    return {
        "MLP": (lambda: nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)), (32, 64)),
        "TransformerEncoder": (
            lambda: nn.TransformerEncoder(
                nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 2
            ),
            (8, 16, 64),
        ),
        "LSTM": (lambda: nn.LSTM(16, 32, batch_first=True), (8, 20, 16)),
        "convnet": (
            lambda: nn.Sequential(
                nn.Conv2d(3, 16, 3),
                nn.BatchNorm2d(16),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(16, 32, 3),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(32, 10),
            ),
            (8, 3, 32, 32),
        ),
    }


def _steps(torch: Any) -> list[str]:
    print(f"\n{'training step (AdamW)':34} {'cpu':>8} {'mps-sim':>8} {'ratio':>8}  milliseconds")
    exceeded = []
    for name, (make, shape) in _networks(torch).items():
        rounds = [_step(torch, make, shape, place) for place in ("cpu", "mps")]
        for one in rounds:
            one()
        cpu, simulated = _taking_turns(rounds)
        ratio = simulated / cpu
        print(f"{name:34} {cpu * 1e3:8.2f} {simulated * 1e3:8.2f} {ratio:8.2f}")
        if ratio > STEP_LIMITS.get(name, float("inf")):
            exceeded.append(f"{name}: {ratio:.2f} times the CPU, {STEP_LIMITS[name]} allowed")
    return exceeded


def _step(
    torch: Any, make: Callable[[], Any], shape: tuple[int, ...], place: str
) -> Callable[[], float]:
    torch.manual_seed(0)
    module, x = make().to(place), torch.randn(shape).to(place)
    optimizer = torch.optim.AdamW(module.parameters())

    def step() -> None:
        optimizer.zero_grad()
        result = module(x)
        result = result[0] if isinstance(result, tuple) else result
        result.square().mean().backward()
        optimizer.step()

    return lambda: timeit.timeit(step, number=10, timer=time.process_time) / 10


if __name__ == "__main__":
    sys.exit(main())
