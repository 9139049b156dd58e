"""A test that fails on the simulated device, as on a Mac: there is no float64."""

import torch


def test_mean_in_double_precision(device):
    x = torch.arange(4.0).to(device, torch.float64)

    assert x.mean().item() == 1.5
