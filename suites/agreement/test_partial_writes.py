"""Writes in place and into ``out`` where the target is a part of a tensor or transposed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from .share import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")

IN_PLACE: dict[str, Callable[..., Any]] = {
    "add_": lambda x, y: x.add_(y),
    "mul_": lambda x, y: x.mul_(y),
    "addcmul_": lambda x, y: x.addcmul_(y, y),
    "addcdiv_": lambda x, y: x.addcdiv_(y, y.abs() + 1),
    "exp_": lambda x, _: x.exp_(),
    "clamp_": lambda x, _: x.clamp_(0, 0.5),
}

#: The targets: made of a matrix of the same size or larger.
TARGETS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "transposed": lambda x: x[:4, :4].t(),
    "columns": lambda x: x[:4, 2:6],
    "rows": lambda x: x[2:6, :4],
    "steps": lambda x: x[::2, ::2],
}


def drawn(*shape: int, seed: int) -> torch.Tensor:
    """Normal numbers, drawn on the host."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name: str, target: str, applesilicon: AppleSilicon, device: Any) -> None:
    def call(whole: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        whole = whole.clone()
        IN_PLACE[name](TARGETS[target](whole), other)
        return whole

    seed = applesilicon.settings.seed
    given = drawn(8, 8, seed=seed), drawn(4, 4, seed=seed + 1)
    judge(call(*[one.to(device) for one in given]), call, given, {}, torch.float32)


@pytest.mark.parametrize("target", TARGETS)
def test_product_into_out(target: str, applesilicon: AppleSilicon, device: Any) -> None:
    def call(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        whole = left.new_zeros(8, 8)
        torch.mm(left, right, out=TARGETS[target](whole))
        return whole

    seed = applesilicon.settings.seed
    given = drawn(4, 4, seed=seed), drawn(4, 4, seed=seed + 1)
    judge(call(*[one.to(device) for one in given]), call, given, {}, torch.float32)


@pytest.mark.parametrize("target", TARGETS)
def test_draw_in_place(target: str, device: Any) -> None:
    whole = torch.full((8, 8), 9.0).to(device)
    part = TARGETS[target](whole)
    part.uniform_(0, 1)

    found = whole.cpu()
    assert int((found == 9).sum()) == found.numel() - part.numel()
    assert bool((TARGETS[target](found) < 1).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_accumulate_into_a_row(dtype: torch.dtype, device: Any) -> None:
    whole = torch.zeros(3, 5, dtype=dtype).to(device)
    index, ones = torch.tensor([0, 3]).to(device), torch.ones(2, dtype=dtype).to(device)
    whole[1].index_add_(0, index, ones)
    if dtype is torch.float32:
        whole[2].scatter_add_(0, index, ones)

    expected = torch.zeros(3, 5, dtype=dtype)
    expected[1, [0, 3]] = 1
    if dtype is torch.float32:
        expected[2, [0, 3]] = 1
    assert whole.tolist() == expected.tolist()
