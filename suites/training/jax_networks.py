"""JAX networks of the training suites, with the optimizers that JAX itself ships.

JAX is imported inside functions only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .dense_oracle import batches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .dense_oracle import Array, Rule

#: The share of the hidden layer that dropout leaves out.
DROPOUT = 0.2


def logits(weights: Any, images: Any, keep: Any = None) -> Any:
    """Two dense layers with ReLU; ``keep`` is a mask of the hidden layer."""
    import jax.numpy as jnp

    inner, inner_bias, outer, outer_bias = weights
    hidden = jnp.maximum(jnp.matmul(images, inner) + inner_bias, 0)
    if keep is not None:
        hidden = jnp.where(keep, hidden / (1 - DROPOUT), 0)
    return jnp.matmul(hidden, outer) + outer_bias


def cross_entropy(weights: Any, images: Any, labels: Any, keep: Any = None) -> Any:
    """The mean over the batch."""
    import jax
    import jax.numpy as jnp

    logs = jax.nn.log_softmax(logits(weights, images, keep))
    return -jnp.mean(jnp.take_along_axis(logs, labels[:, None], axis=1))


def optimizer(rule: Rule) -> Any:
    """The functions of a rule's optimizer: initial state, update, parameters."""
    from jax.example_libraries import optimizers

    if rule.name == "sgd":
        return optimizers.momentum(rule.rate, rule.momentum)
    low, high = rule.betas
    return optimizers.adam(rule.rate, low, high, rule.epsilon)


class Dense:
    """The network of ``dense_oracle``, or one of its shape, in JAX."""

    def __init__(self, weights: Sequence[Array], rule: Rule) -> None:
        import jax
        import jax.numpy as jnp

        begin, update, self._read = optimizer(rule)
        self._state = begin([jnp.asarray(one) for one in weights])
        self._count = 0

        def advance(count: Any, state: Any, images: Any, labels: Any, keep: Any) -> Any:
            loss, gradients = jax.value_and_grad(cross_entropy)(
                self._read(state), images, labels, keep
            )
            return loss, update(count, gradients, state)

        self._advance = jax.jit(advance)

    def step(self, images: Array, labels: Array, keep: Any = None) -> float:
        """One step; returns the loss before it."""
        labels = labels.astype(np.int32)
        loss, self._state = self._advance(self._count, self._state, images, labels, keep)
        self._count += 1
        return float(loss)

    def weights(self) -> list[Array]:
        """The weights on the host."""
        return [np.asarray(one) for one in self._read(self._state)]

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
        """The mean loss of each epoch, trained with dropout drawn on the host."""
        hidden = self.weights()[1].shape[0]
        draw = np.random.default_rng(seed)
        means = []
        for epoch in range(epochs):
            losses = []
            for batch in batches(len(labels), size, seed, epoch):
                keep = draw.random((len(batch), hidden)) >= DROPOUT
                losses.append(self.step(images[batch], labels[batch], keep))
            means.append(float(np.mean(losses)))
            say(f"jax: epoch {epoch + 1} of {epochs}, loss {means[-1]:.4f}")
        return means


def predict(weights: Sequence[Array], images: Array) -> Array:
    """The label of each image."""
    found: Array = np.asarray(logits(list(weights), images)).argmax(axis=1)
    return found
