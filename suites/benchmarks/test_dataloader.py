"""A DataLoader by itself with 0, 2 and 4 workers, and training that is fed by one."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch", reason="written for torch")

import torch
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_applesilicon.data.mnist import Mnist

    from .bench import Bench, DeviceBench

BATCH = 100
#: Four workers on two cores are what is asked about, whatever torch suggests.
TOO_MANY = "This DataLoader will create"

COUNT = {"quick": 2_000, "full": 12_000}


class Digits(Dataset[tuple[torch.Tensor, int]]):  # type: ignore[misc] # torch is not typed here
    """Digits, each made into a tensor of [0, 1] when it is asked for."""

    def __init__(self, mnist: Mnist, count: int) -> None:
        self.images = mnist.train_images[:count]
        self.labels = mnist.train_labels[:count]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = torch.from_numpy(self.images[index]).float().div(255).unsqueeze(0)
        return image, int(self.labels[index])


def loader(digits: Digits, workers: int, **more: Any) -> DataLoader[tuple[torch.Tensor, int]]:
    """A loader whose workers stay until it is let go."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", TOO_MANY, UserWarning)
        return DataLoader(
            digits, BATCH, num_workers=workers, persistent_workers=workers > 0, **more
        )


def batches(given: DataLoader[Any]) -> Iterator[Any]:
    """The batches of one epoch."""
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork in a process with threads, which every process with
        # torch has; it is how DataLoader starts its workers on Linux.
        warnings.filterwarnings("ignore", ".*fork\\(\\)", DeprecationWarning)
        warnings.filterwarnings("ignore", TOO_MANY, UserWarning)
        yield from given


@pytest.mark.parametrize("workers", [0, 2, 4])
def test_dataloader(workers: int, mnist: Mnist, host_bench: Bench) -> None:
    digits = Digits(mnist, COUNT[host_bench.settings.size])
    given = loader(digits, workers)

    # The warm-up starts the workers: how long that takes is not asked.
    found = host_bench.time(
        lambda: list(batches(given)), rounds=host_bench.pick(quick=3, full=5), warmup=1
    )

    labels = torch.cat([one[1] for one in found])
    images = torch.cat([one[0] for one in found]).mul(255).round().to(torch.uint8)
    assert torch.equal(labels, torch.from_numpy(digits.labels).long()), "labels differ"
    assert torch.equal(images.squeeze(1), torch.from_numpy(digits.images)), "images differ"
    host_bench.leave_rate(f"dataloader, {workers} workers", len(digits), "images/s")


@pytest.mark.frameworks("torch")
@pytest.mark.parametrize("workers", [0, 2])
def test_training_fed_by_dataloader(workers: int, mnist: Mnist, bench: DeviceBench) -> None:
    from ..training import loop
    from ..training.networks import optimizer_for
    from .bench import nothing

    seed = bench.settings.seed
    digits = Digits(mnist, COUNT[bench.settings.size])
    shuffle = torch.Generator().manual_seed(seed)
    given = loader(digits, workers, shuffle=True, generator=shuffle)
    network = loop.build("cnn", seed, bench.device)
    optimizer = optimizer_for("cnn", network.parameters())
    losses = []

    def epoch() -> None:
        network.train()
        found = [
            loop.step(network, optimizer, images.to(bench.device), labels.to(bench.device))
            for images, labels in batches(given)
        ]
        losses.append(float(torch.stack(found).mean()))

    bench.time(epoch, rounds=bench.pick(quick=2, full=5), warmup=1, setup=nothing)

    assert not math.isnan(losses[-1]), "the loss is NaN"
    # With --benchmark-disable there is one epoch, of which the last loss is not known.
    assert len(losses) == 1 or losses[-1] < 0.7 * losses[0], f"the loss does not fall: {losses}"
    bench.leave_rate(f"cnn fed by {workers} workers", len(digits), "images/s")
