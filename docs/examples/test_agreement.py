"""A function of a library, held against float64 on the host, forward and backward."""

import torch


def soft_clip(x, limit):
    return limit * torch.tanh(x / limit)


def test_soft_clip_agrees(assert_agrees):
    assert_agrees(soft_clip, torch.randn(4, 5, requires_grad=True), torch.tensor(2.0))


def test_module_agrees(assert_module_agrees):
    module = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.GELU())

    assert_module_agrees(module, (torch.randn(4, 5),))
