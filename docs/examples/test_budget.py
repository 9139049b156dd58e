"""A limit on the time of one call, for every machine."""

import pytest
import torch


@pytest.mark.budget(max_median_ms=5000)
def test_matmul_in_budget(device, device_benchmark):
    a = torch.randn(64, 64).to(device)

    device_benchmark.latency(torch.mm, a, a)
