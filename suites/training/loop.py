"""The training loop that every test of this suite uses, on any device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .networks import BATCH, NETWORKS, optimizer_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_applesilicon.data.mnist import Mnist


@dataclass(frozen=True)
class Digits:
    """Digits as tensors on one device: images (N, 1, 28, 28) in [0, 1], labels (N,) int64."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor

    @classmethod
    def on(cls, device: Any, mnist: Mnist, dtype: torch.dtype = torch.float32) -> Digits:
        """The digits of ``mnist`` on a device; converted on the host, then moved."""

        def images(values: Any) -> torch.Tensor:
            return (torch.from_numpy(values).to(dtype) / 255).unsqueeze(1).to(device)

        def labels(values: Any) -> torch.Tensor:
            return torch.from_numpy(values).long().to(device)

        return cls(
            images(mnist.train_images),
            labels(mnist.train_labels),
            images(mnist.test_images),
            labels(mnist.test_labels),
        )


def build(name: str, seed: int, device: Any, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """A network whose start depends on the seed alone: it is drawn on the host, in float32."""
    torch.manual_seed(seed)
    return NETWORKS[name]().to(dtype).to(device)


def batches(count: int, size: int, seed: int, epoch: int) -> list[torch.Tensor]:
    """The index batches of one epoch, drawn on the host: the same for every device."""
    draw = torch.Generator().manual_seed(seed * 1000 + epoch)
    return list(torch.randperm(count, generator=draw).split(size))


def step(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
) -> torch.Tensor:
    """One step; returns the loss on the device, not waited for."""
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(network(images), labels)
    loss.backward()
    optimizer.step()
    return loss.detach()


def train_epoch(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    digits: Digits,
    order: Iterable[torch.Tensor],
) -> float:
    """One epoch over the batches; returns the mean loss."""
    network.train()
    device = digits.train_images.device
    losses = []
    for batch in order:
        there = batch.to(device)
        images, labels = digits.train_images[there], digits.train_labels[there]
        losses.append(step(network, optimizer, images, labels))
    return float(torch.stack(losses).mean())


def train(
    name: str, digits: Digits, *, epochs: int, seed: int, say: Callable[[str], None]
) -> tuple[torch.nn.Module, list[float]]:
    """A trained network and its mean loss in each epoch."""
    network = build(name, seed, digits.train_images.device)
    optimizer = optimizer_for(name, network.parameters())
    losses = []
    for epoch in range(epochs):
        order = batches(len(digits.train_labels), BATCH[name], seed, epoch)
        losses.append(train_epoch(network, optimizer, digits, order))
        say(f"{name}: epoch {epoch + 1} of {epochs}, loss {losses[-1]:.4f}")
    return network, losses


def accuracy(network: torch.nn.Module, digits: Digits) -> float:
    """The share of test digits that are recognised; counted on the host."""
    network.eval()
    with torch.no_grad():
        guesses = torch.cat(
            [network(part).argmax(dim=1).cpu() for part in digits.test_images.split(1000)]
        )
    return float((guesses == digits.test_labels.cpu()).double().mean())
