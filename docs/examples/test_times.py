"""A benchmark and a figure of its own; both are in the report and can be compared."""

import torch


def test_matmul(device, device_benchmark, applesilicon):
    a = torch.randn(64, 64, device=device)

    device_benchmark.latency(torch.mm, a, a)

    applesilicon.measure("elements", a.numel())
