"""A test that notices a device whose exp is wrong."""

import torch


def test_exp_of_nothing_is_one(device):
    assert torch.zeros(3, device=device).exp().cpu().tolist() == [1.0, 1.0, 1.0]
