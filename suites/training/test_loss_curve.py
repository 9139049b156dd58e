"""The loss curve on the device agrees with the CPU's, from the same start and batches.

What is allowed is measured, not chosen. The reference is the curve in float64 on the CPU.
Training amplifies rounding, so the same float32 run is made on the CPU with the samples of
each batch in other orders: mathematically nothing changes, and what the curve moves by is
what rounding alone does to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="written for torch, which is not installed")

import torch

from . import loop
from .networks import BATCH, NETWORKS, optimizer_for

if TYPE_CHECKING:
    from pytest_applesilicon.data.mnist import Mnist
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")

STEPS = 20
ORDERS = 4

#: A device rounds every operation differently, the reordered runs only the sums over a batch:
#: forward and backward pass and the optimizer make about ten further roundings on the way of
#: each weight, and their errors add at worst.
MARGIN = 10


def curve(
    name: str, digits: loop.Digits, seed: int, *, dtype: torch.dtype, reorder: int = 0
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The loss of each of the first steps; ``reorder`` permutes the samples of each batch."""
    network = loop.build(name, seed, digits.train_images.device, dtype)
    network.eval()  # dropout draws on the device, and no two devices draw alike
    optimizer = optimizer_for(name, network.parameters())
    order = loop.batches(len(digits.train_labels), BATCH[name], seed, 0)[:STEPS]
    shuffle = torch.Generator().manual_seed(reorder)
    losses = []
    for batch in order:
        mixed = batch[torch.randperm(len(batch), generator=shuffle)] if reorder else batch
        there = mixed.to(digits.train_images.device)
        images, labels = digits.train_images[there], digits.train_labels[there]
        losses.append(float(loop.step(network, optimizer, images, labels)))
    return np.asarray(losses)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_loss_curve_agrees_with_the_cpu(
    name: str, applesilicon: AppleSilicon, device: Any, mnist: Mnist
) -> None:
    seed = applesilicon.settings.seed
    host = loop.Digits.on("cpu", mnist)
    exact = curve(name, loop.Digits.on("cpu", mnist, torch.float64), seed, dtype=torch.float64)
    rounding = [
        np.abs(curve(name, host, seed, dtype=torch.float32, reorder=number) - exact)
        for number in range(1, ORDERS + 1)
    ]

    found = curve(name, loop.Digits.on(device, mnist), seed, dtype=torch.float32)

    # What rounding did up to a step it may do at that step; and no loss is known better than
    # to the spacing of float32.
    allowed = MARGIN * np.maximum.accumulate(np.max(rounding, axis=0))
    allowed += MARGIN * np.finfo(np.float32).eps * np.abs(exact)
    error = np.abs(found - exact)
    worst = int(np.argmax(error / allowed))
    applesilicon.measure(f"{name} loss curve error / allowed", float(error[worst] / allowed[worst]))
    assert (error <= allowed).all(), (
        f"{name}: at step {worst + 1} the loss is {found[worst]:.9g}, "
        f"in float64 {exact[worst]:.9g}: off by {error[worst]:.3g}, allowed {allowed[worst]:.3g}"
    )
