"""One epoch of training on digits, in images per second."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_applesilicon.data.mnist import Mnist

    from .bench import DeviceBench

pytestmark = pytest.mark.frameworks("torch")

#: The loss of a network that gives each of the ten digits the same chance.
GUESSING = math.log(10)

#: Digits of an epoch at quick size: as few as make the loss fall.
QUICK = {"two_layer_net": 12_000, "mlp": 6_000, "cnn": 3_000}

#: The size of MNIST, and the epochs of the published run of the MLP.
MNIST, EPOCHS = 60_000, 5


@pytest.mark.parametrize("name", list(QUICK))
def test_training_epoch(name: str, mnist: Mnist, bench: DeviceBench) -> None:
    from ..training import loop
    from ..training.networks import BATCH, optimizer_for
    from .bench import nothing

    digits = loop.Digits.on(bench.device, mnist)
    seed = bench.settings.seed
    network = loop.build(name, seed, bench.device)
    optimizer = optimizer_for(name, network.parameters())
    count = bench.pick(quick=QUICK[name], full=len(digits.train_labels))
    order = loop.batches(min(count, len(digits.train_labels)), BATCH[name], seed, 0)
    losses = []

    def epoch() -> None:
        losses.append(loop.train_epoch(network, optimizer, digits, bench.say.watch(order)))

    bench.time(epoch, rounds=bench.pick(quick=2, full=EPOCHS), warmup=1, setup=nothing)

    assert not math.isnan(losses[-1]), "the loss is NaN"
    # Where nothing is timed (--benchmark-disable, -n) one epoch ran, of few digits.
    while len(losses) < 3:
        epoch()
    assert losses[-1] < 0.5 * GUESSING, f"the network does not learn: {losses}"
    assert len(losses) == 1 or losses[-1] < losses[0], f"the loss does not fall: {losses}"
    bench.leave_rate(f"{name} epoch of {count:,}", count, "images/s")
    if name == "mlp" and count == MNIST and bench.median_s is not None:
        bench.leave(f"mlp, {EPOCHS} epochs of 60,000", EPOCHS * bench.median_s, "s")
