"""Copies between host and device: GB/s of large ones, microseconds of a single number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch

    from .bench import DeviceBench

pytestmark = pytest.mark.frameworks("torch")

COUNTS = {"4 B": 1, "64 MB": 16_000_000}


def source(count: int, seed: int) -> torch.Tensor:
    """Numbers on the host, float32."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=draw)


@pytest.mark.parametrize("size", list(COUNTS))
@pytest.mark.parametrize("direction", ["host to device", "device to host"])
def test_transfer(direction: str, size: str, bench: DeviceBench) -> None:
    import torch

    values = source(COUNTS[size], bench.settings.seed)
    there = values.clone().to(bench.device)

    if direction == "host to device":
        moved = bench.time(
            lambda: values.to(bench.device, copy=True), rounds=20, warmup=3, each_call=True
        )
    else:
        moved = bench.time(lambda: there.to("cpu", copy=True), rounds=20, warmup=3, each_call=True)

    assert moved.device.type == (bench.device.type if direction == "host to device" else "cpu")
    found = moved.cpu()
    assert torch.equal(found, values), (
        f"{int((found != values).sum())} of {len(values)} values changed on the way"
    )
    if size == "4 B":
        bench.leave_time(f"{direction} {size}", "us")
    else:
        bench.leave_rate(f"{direction} {size}", values.nbytes / 1e9, "GB/s")
