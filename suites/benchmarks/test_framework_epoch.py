"""One epoch of the MLP on digits in TensorFlow, MLX and JAX: the work of ``test_training_epoch``.

The figures have the names that those of torch have, so that one table shows all frameworks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from .test_training_epoch import EPOCHS, GUESSING, MNIST, QUICK

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.data.mnist import Mnist

    from .bench import DeviceBench

pytestmark = pytest.mark.frameworks("tensorflow", "mlx", "jax")

BATCH = 32


def epoch_of_keras(images: Any, labels: Any, seed: int) -> Callable[[], float]:
    """An epoch of the tutorial's network; returns its mean loss."""
    from tensorflow import keras

    from ..training import keras_networks

    keras.utils.set_random_seed(seed)
    network = keras_networks.mlp()

    def epoch() -> float:
        return float(network.fit(images, labels, BATCH, 1, verbose=0).history["loss"][0])

    return epoch


def epoch_of_mlx(images: Any, labels: Any, seed: int) -> Callable[[], float]:
    """The same in MLX."""
    import mlx.core as mx

    from ..training import mlx_networks

    mx.random.seed(seed)
    trainer = mlx_networks.Trainer(mlx_networks.mlp(), mlx_networks.adam())
    return lambda: trainer.fit(images, labels, epochs=1, size=BATCH, seed=seed, say=_silent)[0]


def epoch_of_jax(images: Any, labels: Any, seed: int) -> Callable[[], float]:
    """The same in JAX."""
    from ..training import jax_networks
    from ..training.dense_oracle import ADAM, CLASSES, glorot

    weights = glorot(((784, 128), (128,), (128, CLASSES), (CLASSES,)), seed)
    network = jax_networks.Dense(weights, ADAM)
    flat = images.reshape(len(images), -1)
    return lambda: network.fit(flat, labels, epochs=1, size=BATCH, seed=seed, say=_silent)[0]


def _silent(_line: str) -> None:
    """Nothing is said between the rounds that are timed."""


EPOCH_OF = {"tensorflow": epoch_of_keras, "mlx": epoch_of_mlx, "jax": epoch_of_jax}


def test_mlp_epoch(mnist: Mnist, bench: DeviceBench) -> None:
    from .bench import nothing

    count = min(bench.pick(quick=QUICK["mlp"], full=MNIST), len(mnist.train_labels))
    images = (mnist.train_images[:count] / 255).astype(np.float32)
    labels = mnist.train_labels[:count].astype(np.int32)
    epoch = EPOCH_OF[bench.framework.name](images, labels, bench.settings.seed)
    losses: list[float] = []

    bench.time(
        lambda: losses.append(epoch()),
        rounds=bench.pick(quick=2, full=EPOCHS),
        warmup=1,
        setup=nothing,
    )

    assert not np.isnan(losses[-1]), "the loss is NaN"
    # With --benchmark-disable one epoch is all there is; its mean loss is 0.7 on the subset.
    assert losses[-1] < 0.5 * GUESSING, f"the network does not learn: {losses}"
    assert len(losses) == 1 or losses[-1] < losses[0], f"the loss does not fall: {losses}"
    bench.leave_rate(f"mlp epoch of {count:,}", count, "images/s")
    if count == MNIST and bench.median_s is not None:
        bench.leave(f"mlp, {EPOCHS} epochs of 60,000", EPOCHS * bench.median_s, "s")
