"""The networks of the training suites. Imports torch and nothing of the project.

It is also run as a file by ``predict.py``, in a process that knows nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def two_layer_net() -> nn.Module:
    """784-100-10 with ReLU."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))


def mlp() -> nn.Module:
    """784-128-10 with ReLU and dropout of 0.2."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10)
    )


def cnn() -> nn.Module:
    """Two convolutions with pooling, then one dense layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "two_layer_net": two_layer_net,
    "mlp": mlp,
    "cnn": cnn,
}


def optimizer_for(name: str, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """SGD with momentum for the two-layer network, Adam for the others, as published."""
    if name == "two_layer_net":
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    return torch.optim.Adam(parameters, lr=1e-3)


BATCH = {"two_layer_net": 100, "mlp": 32, "cnn": 64}
