"""A test that runs on whatever device the run was asked for."""

import torch


def test_softmax_sums_to_one(device):
    x = torch.randn(4, 8).to(device)

    total = torch.softmax(x, dim=1).sum(dim=1)

    assert total.device.type == device.type
    torch.testing.assert_close(total.cpu(), torch.ones(4))
