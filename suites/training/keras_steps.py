"""20 steps of small Keras networks in a process of its own: ``keras_steps.py SPEC SEED OUT``.

Dense, convolution and LSTM, each with SGD and with Adam, from the same weights and batches. On
the CPU the GPU is hidden, because TensorFlow uses it wherever there is one; there the same steps
are also made in float64, and in float32 with the samples of each batch in other orders. OUT gets
an array of losses for each run, by name. Imports nothing of the project but the adapters.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from pytest_applesilicon import frameworks

STEPS = 20
SIZE = 32
CLASSES = 4
ORDERS = 4
NETWORKS = ("dense", "conv", "lstm")
OPTIMIZERS = ("sgd", "adam")

Array = np.ndarray[Any, Any]


def data(name: str, seed: int) -> tuple[Array, Array]:
    """Samples that a network can learn: each class is noise around a pattern of its own."""
    draw = np.random.default_rng([seed, NETWORKS.index(name)])
    shape = {"dense": (48,), "conv": (10, 10, 2), "lstm": (7, 9)}[name]
    labels = draw.integers(0, CLASSES, STEPS * SIZE)
    patterns = draw.standard_normal((CLASSES, *shape))
    return patterns[labels] + draw.standard_normal((len(labels), *shape)), labels


def network(name: str, dtype: str, shape: tuple[int, ...]) -> Any:
    """One layer of the kind, and a dense one, all in a dtype."""
    from tensorflow import keras

    layers = {
        "dense": [keras.layers.Dense(32, activation="tanh", dtype=dtype)],
        "conv": [
            keras.layers.Conv2D(6, 3, activation="relu", dtype=dtype),
            keras.layers.MaxPooling2D(dtype=dtype),
            keras.layers.Flatten(dtype=dtype),
        ],
        "lstm": [keras.layers.LSTM(12, dtype=dtype)],
    }[name]
    last = keras.layers.Dense(CLASSES, dtype=dtype)
    return keras.Sequential([keras.layers.Input(shape, dtype=dtype), *layers, last])


def first_weights(built: Any, seed: int) -> list[Array]:
    """Weights drawn on the host: the same for every device and dtype."""
    draw = np.random.default_rng(seed)
    return [
        (draw.standard_normal(one.shape) / max(one.shape[-1], 1) ** 0.5).astype(np.float32)
        for one in built.get_weights()
    ]


class Runs:
    """A network with its optimizer in one dtype; every run begins where the first one did."""

    def __init__(self, name: str, optimizer: str, dtype: str, seed: int) -> None:
        import tensorflow as tf
        from tensorflow import keras

        self._dtype = dtype
        self._samples, self._labels = data(name, seed)
        built = network(name, dtype, self._samples.shape[1:])
        built.set_weights(first_weights(built, seed))
        rule = (
            keras.optimizers.SGD(0.05, momentum=0.9)
            if optimizer == "sgd"
            else keras.optimizers.Adam(0.01)
        )
        rule.build(built.trainable_variables)
        cost = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=dtype)
        self._state = [*built.variables, *rule.variables]
        self._start = [one.numpy() for one in self._state]

        def step(inputs: Any, wanted: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = cost(wanted, built(inputs, training=True))
            gradients = tape.gradient(loss, built.trainable_variables)
            rule.apply_gradients(zip(gradients, built.trainable_variables, strict=True))
            return loss

        self._step = tf.function(step)

    def losses(self, reorder: int = 0) -> Array:
        """The loss of each step; ``reorder`` permutes the samples of each batch."""
        for variable, value in zip(self._state, self._start, strict=True):
            variable.assign(value)
        shuffle = np.random.default_rng(reorder)
        found = []
        for number in range(STEPS):
            order = shuffle.permutation(SIZE) if reorder else np.arange(SIZE)
            batch = number * SIZE + order
            found.append(
                float(self._step(self._samples[batch].astype(self._dtype), self._labels[batch]))
            )
        return np.asarray(found)


def runs(name: str, optimizer: str, seed: int, *, reference: bool) -> dict[str, Array]:
    """The losses by what they were made with."""
    label = f"{name}-{optimizer}"
    single = Runs(name, optimizer, "float32", seed)
    found = {label: single.losses()}
    if reference:
        found[f"{label}-float64"] = Runs(name, optimizer, "float64", seed).losses()
        for number in range(1, ORDERS + 1):
            found[f"{label}-order{number}"] = single.losses(number)
    return found


def main(spec: str, seed: str, target: str) -> None:
    """Make every run on the device and save the losses."""
    import tensorflow as tf

    if spec == "cpu":
        tf.config.set_visible_devices([], "GPU")
    found: dict[str, Array] = {}
    with frameworks.load("tensorflow").running_on(spec):
        for name in NETWORKS:
            for optimizer in OPTIMIZERS:
                found |= runs(name, optimizer, int(seed), reference=spec == "cpu")
    np.savez(target, **found)  # type: ignore[arg-type]  # no name of ours is an option of it


if __name__ == "__main__":
    main(*sys.argv[1:])
