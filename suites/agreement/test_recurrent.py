"""LSTM with the options under which devices were wrong: state, directions, batches, dropout."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch

from .share import judge

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "layers": {"num_layers": 2},
    "batch_first": {"batch_first": True},
    "bidirectional": {"bidirectional": True},
    "dropout": {"num_layers": 2, "dropout": 0.5},
}


def module(seed: int, **options: Any) -> torch.nn.LSTM:
    """An LSTM of 3 inputs and 4 units, in evaluation.

    Its weights are drawn in float32 whatever the default: float64 draws other numbers.
    """
    torch.manual_seed(seed)
    return torch.nn.LSTM(3, 4, **options, dtype=torch.float32).eval()


@pytest.mark.parametrize("name", OPTIONS)
def test_lstm(name: str, applesilicon: AppleSilicon, device: Any) -> None:
    options, seed = OPTIONS[name], applesilicon.settings.seed
    drawn = module(seed, **options)
    rows = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    generator = torch.Generator().manual_seed(seed)
    # Two batches and two steps: with batch_first either may stand first.
    given = tuple(
        torch.randn(*shape, generator=generator)
        for shape in ((2, 2, 3), (rows, 2, 4), (rows, 2, 4))
    )

    def call(x: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor) -> Any:
        lstm = copy.deepcopy(drawn).to(x.device, x.dtype)
        output, (last, state) = lstm(x, (hidden, cell))
        return output, last, state

    with torch.no_grad():
        actual = call(*[one.to(device) for one in given])
    judge(actual, call, given, {}, torch.float32)


def test_dropout_draws_anew_and_stays_finite(applesilicon: AppleSilicon, device: Any) -> None:
    lstm = module(applesilicon.settings.seed, num_layers=2, dropout=0.5).train().to(device)
    x = torch.ones(5, 4, 3).to(device)
    with torch.no_grad():
        first, second = (lstm(x)[0].cpu() for _ in range(2))

    assert bool(first.isfinite().all())
    assert not torch.equal(first, second)
