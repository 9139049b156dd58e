"""A benchmark and a figure of its own; both are in the report and can be compared."""

import torch


def test_matmul(device, benchmark, applesilicon):
    a = torch.randn(64, 64, device=device)

    def step():
        a @ a
        applesilicon.synchronize()

    benchmark(step)
    applesilicon.measure("elements", a.numel())
