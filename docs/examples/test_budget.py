"""Limits on the same product: against the CPU in this run, and on what it holds."""

import pytest
import torch


@pytest.mark.budget(min_speedup_vs="cpu", min_speedup=0.5, max_peak_mb=4000)
def test_matmul(device, device_benchmark):
    a = torch.randn(64, 64, device=device)

    device_benchmark.latency(torch.mm, a, a)
