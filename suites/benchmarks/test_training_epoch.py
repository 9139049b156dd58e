"""One epoch of training on digits, in images per second."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from .results import leave_rate

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from pytest_applesilicon.data.mnist import Mnist
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")

#: The loss of a network that gives each of the ten digits the same chance.
GUESSING = math.log(10)


@pytest.mark.parametrize("name", ["two_layer_net"])
def test_training_epoch(
    name: str,
    applesilicon: AppleSilicon,
    device: Any,
    mnist: Mnist,
    benchmark: BenchmarkFixture,
) -> None:
    from ..training import loop
    from ..training.networks import BATCH, optimizer_for

    digits = loop.Digits.on(device, mnist)
    seed = applesilicon.settings.seed
    network = loop.build(name, seed, device)
    optimizer = optimizer_for(name, network.parameters())
    order = loop.batches(len(digits.train_labels), BATCH[name], seed, 0)
    losses = []

    def epoch() -> None:
        losses.append(loop.train_epoch(network, optimizer, digits, order))
        applesilicon.synchronize()

    benchmark.pedantic(epoch, rounds=3, warmup_rounds=1)

    assert not math.isnan(losses[-1]), "the loss is NaN"
    # One epoch is all there is with --benchmark-disable; its mean loss is 0.60 on the subset.
    assert losses[-1] < 0.5 * GUESSING, f"the network does not learn: {losses}"
    assert len(losses) == 1 or losses[-1] < losses[0], f"the loss does not fall: {losses}"
    count = len(digits.train_labels)
    leave_rate(applesilicon, benchmark, f"{name} epoch of {count:,}", count, "images/s")
