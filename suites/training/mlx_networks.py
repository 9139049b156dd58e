"""MLX networks of the training suites. MLX is imported inside functions only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .dense_oracle import CLASSES, HIDDEN, batches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .dense_oracle import Array, Rule


def mlp() -> Any:
    """784-128-10 with ReLU and dropout of 0.2."""
    from mlx import nn

    return nn.Sequential(_flat, nn.Linear(784, 128), nn.relu, nn.Dropout(0.2), nn.Linear(128, 10))


def features() -> Any:
    """Two convolutions of stride 2: what is transferred.

    Small, and without pooling: MLX has no fast convolution on the CPU. The CNN of
    ``networks.py`` took 40 s an epoch there.
    """
    from mlx import nn

    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.relu,
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.relu,
        _flat,
    )


def head(hidden: int, classes: int) -> list[Any]:
    """Two dense layers on top of ``features``."""
    from mlx import nn

    return [nn.Linear(16 * 7 * 7, hidden), nn.relu, nn.Linear(hidden, classes)]


def strided_cnn() -> Any:
    """``features`` with one dense layer."""
    from mlx import nn

    return nn.Sequential(features(), nn.Linear(16 * 7 * 7, CLASSES))


NETWORKS = {"mlp": mlp, "strided_cnn": strided_cnn}


def _flat(values: Any) -> Any:
    return values.reshape(values.shape[0], -1)


class Trainer:
    """A network with its optimizer."""

    def __init__(self, network: Any, optimizer: Any) -> None:
        import mlx.core as mx
        from mlx import nn

        self.network, self.optimizer = network, optimizer
        mx.eval(network.parameters())

        def loss(images: Any, labels: Any) -> Any:
            logits = network(images)
            return nn.losses.cross_entropy(logits, labels, reduction="mean")

        self._gradients = nn.value_and_grad(network, loss)

    def step(self, images: Array, labels: Array) -> float:
        """One step; returns the loss before it."""
        import mlx.core as mx

        loss, gradients = self._gradients(mx.array(images), mx.array(labels.astype(np.int32)))
        self.optimizer.update(self.network, gradients)
        mx.eval(self.network.parameters(), self.optimizer.state, loss)
        return float(loss)

    def fit(
        self,
        images: Array,
        labels: Array,
        *,
        epochs: int,
        size: int,
        seed: int,
        say: Callable[[str], None],
    ) -> list[float]:
        """The mean loss of each epoch."""
        self.network.train()
        means = []
        for epoch in range(epochs):
            order = batches(len(labels), size, seed, epoch)
            means.append(float(np.mean([self.step(images[one], labels[one]) for one in order])))
            say(f"mlx: epoch {epoch + 1} of {epochs}, loss {means[-1]:.4f}")
        return means


def predict(network: Any, images: Array) -> Array:
    """The label of each image."""
    import mlx.core as mx

    network.eval()
    parts = [network(mx.array(images[at : at + 1000])) for at in range(0, len(images), 1000)]
    return np.concatenate([np.array(part).argmax(axis=1) for part in parts])


def adam(rate: float = 1e-3) -> Any:
    """Adam as published: with the correction of the bias, which MLX leaves out by default."""
    from mlx import optimizers

    return optimizers.Adam(rate, bias_correction=True)


class Dense:
    """The network of ``dense_oracle`` in MLX."""

    def __init__(self, weights: Sequence[Array], rule: Rule) -> None:
        import mlx.core as mx
        from mlx import nn, optimizers

        network = nn.Sequential(nn.Linear(784, HIDDEN), nn.relu, nn.Linear(HIDDEN, CLASSES))
        inner, inner_bias, outer, outer_bias = (mx.array(one) for one in weights)
        network.layers[0].update({"weight": mx.transpose(inner), "bias": inner_bias})
        network.layers[2].update({"weight": mx.transpose(outer), "bias": outer_bias})
        optimizer = (
            optimizers.SGD(rule.rate, momentum=rule.momentum)
            if rule.name == "sgd"
            else optimizers.Adam(rule.rate, list(rule.betas), rule.epsilon, bias_correction=True)
        )
        self._trainer = Trainer(network, optimizer)

    def step(self, images: Array, labels: Array) -> float:
        """One step; returns the loss before it."""
        return self._trainer.step(images, labels)

    def weights(self) -> list[Array]:
        """The weights on the host, in the order of ``dense_oracle``."""
        inner, _, outer = self._trainer.network.layers
        return [
            np.array(inner["weight"]).T,
            np.array(inner["bias"]),
            np.array(outer["weight"]).T,
            np.array(outer["bias"]),
        ]


def reload(network: Any, empty: Any, file: Path) -> Any:
    """The weights of a network saved as safetensors and loaded into an empty one."""
    network.save_weights(str(file))
    empty.load_weights(str(file))
    return empty
