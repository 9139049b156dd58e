"""A network of two dense layers and its optimizers in NumPy: what 20 steps give, in any dtype.

In float64 it is the oracle of every framework's training steps: no framework judges itself.
Nothing here imports one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]

#: Weights and biases of 784-100-10 with ReLU.
SHAPES = ((784, 100), (100,), (100, 10), (10,))
HIDDEN, CLASSES = 100, 10
BATCH = 100


@dataclass(frozen=True)
class Rule:
    """An optimizer with its constants, as Keras, MLX and JAX define it."""

    name: str
    rate: float
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    epsilon_hat: bool = False
    """Adam adds epsilon before the correction of the bias, as Keras does (Kingma and Ba, Adam,
    2015, end of section 2), and not after it."""


#: The published run of the two-layer network is SGD with momentum of 0.9 at a rate of 0.1.
SGD = Rule("sgd", 0.1, momentum=0.9)
ADAM = Rule("adam", 1e-3)
RULES = {rule.name: rule for rule in (SGD, ADAM)}


def first_weights(seed: int) -> list[Array]:
    """Where every run starts, in float32."""
    return glorot(SHAPES, seed)


def glorot(shapes: Sequence[tuple[int, ...]], seed: int) -> list[Array]:
    """Glorot uniform weights and zero biases, in float32."""
    draw = np.random.default_rng(seed)
    return [
        draw.uniform(-1, 1, shape).astype(np.float32) * np.float32((6 / sum(shape)) ** 0.5)
        if len(shape) == 2
        else np.zeros(shape, np.float32)
        for shape in shapes
    ]


def batches(count: int, size: int, seed: int, epoch: int = 0) -> list[Array]:
    """The index batches of one epoch: the same for every framework and device."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return [order[start : start + size] for start in range(0, count, size)]


class Dense:
    """The network with its optimizer, in one dtype throughout."""

    def __init__(self, weights: Sequence[Array], rule: Rule, dtype: Any) -> None:
        self.dtype = np.dtype(dtype).type
        self.weights = [one.astype(dtype) for one in weights]
        self._rule = rule
        self._first = [np.zeros_like(one) for one in self.weights]
        self._second = [np.zeros_like(one) for one in self.weights]
        self._count = 0

    def step(self, images: Array, labels: Array) -> float:
        """One step; returns the mean cross-entropy before it.

        Args:
            images: (N, 784) in [0, 1].
            labels: (N,) integers.
        """
        loss, gradients = self._gradients(images.astype(self.dtype), labels)
        self._count += 1
        update = self._sgd if self._rule.name == "sgd" else self._adam
        for place, gradient in enumerate(gradients):
            update(place, gradient)
        return loss

    def _gradients(self, images: Array, labels: Array) -> tuple[float, list[Array]]:
        inner, inner_bias, outer, outer_bias = self.weights
        before = images @ inner + inner_bias
        hidden = np.maximum(before, 0)
        logits = hidden @ outer + outer_bias
        shifted = logits - logits.max(axis=1, keepdims=True)
        total = np.exp(shifted).sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        loss = float((np.log(total[:, 0]) - shifted[rows, labels]).mean())
        there = np.exp(shifted) / total
        there[rows, labels] -= 1
        there /= self.dtype(len(labels))
        back = (there @ outer.T) * (before > 0)
        return loss, [images.T @ back, back.sum(axis=0), hidden.T @ there, there.sum(axis=0)]

    def _sgd(self, place: int, gradient: Array) -> None:
        kept = self.dtype(self._rule.momentum) * self._first[place] + gradient
        self._first[place] = kept
        self.weights[place] = self.weights[place] - self.dtype(self._rule.rate) * kept

    def _adam(self, place: int, gradient: Array) -> None:
        # Every constant is rounded to the dtype, as the frameworks do. In float32 1 - 0.999 is
        # off by 5e-5 of itself where 0.999 was rounded before, and not where 0.001 is: a rounding
        # like any other.
        one, (low, high) = self.dtype(1), map(self.dtype, self._rule.betas)
        rest, rest_high = (self.dtype(1 - beta) for beta in self._rule.betas)
        self._first[place] = low * self._first[place] + rest * gradient
        self._second[place] = high * self._second[place] + rest_high * gradient * gradient
        mean = self._first[place] / (one - low**self._count)
        correction = np.sqrt(one - high**self._count)
        epsilon = self.dtype(self._rule.epsilon)
        size = np.sqrt(self._second[place])
        if self._rule.epsilon_hat:
            step = mean * correction / (size + epsilon)
        else:
            step = mean / (size / correction + epsilon)
        self.weights[place] = self.weights[place] - self.dtype(self._rule.rate) * step


def curve(
    rule: Rule,
    images: Array,
    labels: Array,
    *,
    steps: int,
    seed: int,
    dtype: Any,
    reorder: int = 0,
) -> Array:
    """The loss of each of the first steps, as float64.

    Args:
        rule: the optimizer.
        images: (N, 784) in [0, 1], float64.
        labels: (N,) integers.
        steps: how many.
        seed: of weights and batches.
        dtype: in which everything is computed.
        reorder: permutes the samples within each batch, where it is not 0.
    """
    network = Dense(first_weights(seed), rule, dtype)
    shuffle = np.random.default_rng(reorder)
    losses = []
    for batch in batches(len(labels), BATCH, seed)[:steps]:
        mixed = shuffle.permutation(batch) if reorder else batch
        losses.append(network.step(images[mixed], labels[mixed]))
    return np.asarray(losses)
