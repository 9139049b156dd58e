"""torch's own exp, which is wrong on a device with the fault of doubled.py."""

import torch


def test_exp_agrees(assert_agrees):
    assert_agrees(torch.exp, torch.linspace(-2.0, 2.0, 12).reshape(3, 4))
