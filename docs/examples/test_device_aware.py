"""What a test may say of the device it needs, and of what must not happen on it."""

import pytest
import torch


def test_dtype_is_kept(device, assert_same):
    x = torch.arange(4, dtype=torch.int32).to(device)

    assert_same(x * 2, torch.tensor([0, 2, 4, 6], dtype=torch.int32))


@pytest.mark.requires_mps(min_macos="14.0", dtype="bfloat16")
def test_only_where_mps_has_bfloat16(device):
    assert torch.ones(2, dtype=torch.bfloat16, device=device).sum() == 2


@pytest.mark.no_fallback
def test_runs_on_the_gpu_itself(device):
    torch.ones(3, 3, device=device) @ torch.ones(3, 3, device=device)


@pytest.mark.max_host_syncs(1)
def test_waits_for_the_gpu_once(device):
    losses = [torch.ones(3, device=device).sum() for _ in range(10)]

    torch.stack(losses).mean().item()


@pytest.mark.xfail_on_device("mps,mps-sim", raises=TypeError, reason="MPS has no float64")
def test_in_double_precision(device):
    torch.ones(2, dtype=torch.float64, device=device)


@pytest.mark.isolated(timeout=60)
def test_that_may_abort_the_process(device):
    assert torch.zeros(1, 1, 1, 1, 1, device=device).argmax().item() == 0
