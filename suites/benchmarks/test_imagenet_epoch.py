"""Epochs of training ImageNet models on digits resized to 224 x 224, as published.

At quick size one batch of smaller images shows that the whole of it works.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch", reason="written for torch")

import torch

from . import models, wide
from .bench import nothing

if TYPE_CHECKING:
    from pytest_applesilicon.data.mnist import Mnist

    from .bench import DeviceBench

pytestmark = pytest.mark.frameworks("torch")

PUBLISHED_DIGITS, PUBLISHED_PIXELS = 1000, 224

#: The least that each model takes is 32 pixels; alexnet's pooling needs 63.
QUICK_PIXELS = {"alexnet": 64}

#: Digits of an epoch at quick size, by batch.
QUICK_DIGITS = {4: 4, 64: 64}

#: Elements of the largest weight whose gradient is judged at quick size: those of the dense
#: layers of vgg16 and alexnet take gigabytes in float64.
QUICK_WEIGHTS = 5_000_000

#: The batch whose loss and gradients are judged. Two images show every kernel at work.
JUDGED = 2


@dataclass(frozen=True)
class Images:
    """Digits on the device: (N, 1, 28, 28) in [0, 1], labels (N,) int64."""

    values: torch.Tensor
    labels: torch.Tensor
    pixels: int

    @classmethod
    def on(cls, device: Any, mnist: Mnist, count: int, pixels: int) -> Images:
        values = torch.from_numpy(mnist.train_images[:count]).float().div(255).unsqueeze(1)
        labels = torch.from_numpy(mnist.train_labels[:count]).long()
        return cls(values.to(device), labels.to(device), pixels)

    def batch(self, part: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (n, 3, pixels, pixels), the same in each colour, and their labels."""
        size = (self.pixels, self.pixels)
        resized = torch.nn.functional.interpolate(
            self.values[part], size=size, mode="bilinear", align_corners=False
        )
        return resized.expand(-1, 3, -1, -1).contiguous(), self.labels[part]


@pytest.fixture(scope="module")
def judged() -> set[tuple[str, str]]:
    """Models, with their device, whose gradients were right: they are judged once."""
    return set()


@pytest.mark.parametrize("batch", [4, 64])
@pytest.mark.parametrize("name", models.IMAGENET)
def test_imagenet_epoch(
    name: str, batch: int, mnist: Mnist, judged: set[tuple[str, str]], bench: DeviceBench
) -> None:
    pixels = bench.pick(quick=QUICK_PIXELS.get(name, 32), full=PUBLISHED_PIXELS)
    count = bench.pick(quick=QUICK_DIGITS[batch], full=PUBLISHED_DIGITS)
    network = models.imagenet(name, bench.settings.seed, 10).to(bench.device)
    if (name, bench.spec) not in judged:
        bench.say("the gradients are judged")
        check_gradients(network, pixels, bench)
        judged.add((name, bench.spec))
    images = Images.on(bench.device, mnist, count, pixels)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    parts = [slice(start, start + batch) for start in range(0, count, batch)]
    before = {key: one.detach().clone() for key, one in network.named_parameters()}
    losses: list[torch.Tensor] = []

    def epoch() -> None:
        network.train()
        for part in bench.say.watch(parts):
            values, labels = images.batch(part)
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(values), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())

    # Minutes on a CPU: a second epoch would say little more. The judged batch warms up.
    bench.time(epoch, rounds=1, warmup=0, setup=nothing)

    check_trained(network, before, losses)
    kind = "epoch" if bench.full else f"{count} x {pixels} px"
    bench.leave_time(f"{name} {kind}, batch {batch}")


def check_gradients(network: Any, pixels: int, bench: DeviceBench) -> None:
    """Fail unless loss and gradients of a small batch are what float64 on the host gives."""
    draw = torch.Generator().manual_seed(bench.settings.seed)
    # Not digits: where a window of a pooling layer is flat, its maximum may be anywhere.
    values = torch.randn(JUDGED, 3, pixels, pixels, generator=draw)
    labels = torch.arange(JUDGED)
    judge = partial(
        wide.loss_and_gradients, largest=bench.pick(quick=QUICK_WEIGHTS, full=sys.maxsize)
    )
    found = judge(network, values.to(bench.device), labels.to(bench.device))
    wide.check(network, found, judge, values, labels, seed=bench.settings.seed)


def check_trained(
    network: Any, before: dict[str, torch.Tensor], losses: list[torch.Tensor]
) -> None:
    """Fail unless the losses and the weights are finite and every weight tensor was trained."""
    found = [float(one) for one in torch.stack(losses).cpu()]
    assert all(map(torch.isfinite, torch.tensor(found))), f"a loss is not finite: {found}"
    for key, one in network.named_parameters():
        assert bool(torch.isfinite(one).all()), f"{key} is not finite after training"
        assert not torch.equal(one, before[key]), f"{key} was not changed by training"
