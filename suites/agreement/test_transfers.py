"""Copies between the host and the device, and writes to parts of a tensor: exact, by literals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytestmark = pytest.mark.frameworks("torch")


def numbers(count: int, device: Any) -> torch.Tensor:
    """0, 1, 2 ... on the device, made on the host."""
    return torch.arange(float(count)).to(device)


def test_copy_between_views_with_gaps(device: Any) -> None:
    host = torch.full((8,), -1.0)
    host[::2].copy_(numbers(8, device)[::2])

    assert host.tolist() == [0, -1, 2, -1, 4, -1, 6, -1]


def test_copy_to_a_narrower_dtype_leaves_the_source(device: Any) -> None:
    source = numbers(4, device) + 0.25
    host = torch.zeros(6, dtype=torch.float16)
    host[2:].copy_(source)

    assert source.tolist() == [0.25, 1.25, 2.25, 3.25]
    assert host.tolist() == [0, 0, 0.25, 1.25, 2.25, 3.25]


def test_copy_into_rows_of_the_host(device: Any) -> None:
    host = torch.zeros(3, 2)
    rows = numbers(6, device).reshape(3, 2)
    for row in range(3):
        host[row] = rows[row]

    assert host.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_copy_of_a_transposed_host_tensor(device: Any) -> None:
    host = torch.arange(6.0).reshape(2, 3).t()

    assert host.to(device).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_assignment_of_an_element_of_the_host(device: Any) -> None:
    found = torch.zeros(3).to(device)
    found[:] = torch.tensor([4.0, 7.0])[0]

    assert found.tolist() == [4, 4, 4]


def test_copies_that_do_not_block(device: Any) -> None:
    parts = [torch.full((1,), float(one)).to(device, non_blocking=True) for one in range(8)]

    assert torch.cat(parts).tolist() == list(range(8))


def test_assignments_in_sequence(device: Any) -> None:
    found = torch.zeros(4).to(device)
    found[1] = 1
    found[2] = 3

    assert found.tolist() == [0, 1, 3, 0]


def test_comparison_of_elements(device: Any) -> None:
    pair = torch.tensor([0.8, -1.0]).to(device)

    assert (bool(pair[0] > pair[1]), bool(pair[1] > pair[0])) == (True, False)
    assert (bool(pair[0] < pair[1]), bool(pair[1] < pair[0])) == (False, True)
