"""Keras networks of the training suites. TensorFlow is imported inside functions only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .dense_oracle import CLASSES, HIDDEN, SHAPES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .dense_oracle import Array, Rule

#: What Keras recognises a file by: its native format and HDF5.
FORMATS = ("keras", "h5")


def mlp(classes: int = CLASSES) -> Any:
    """784-128-10 with ReLU, dropout of 0.2 and softmax, compiled with Adam: the tutorial's."""
    from tensorflow import keras

    network = keras.Sequential(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return network


def features() -> Any:
    """Two convolutions with pooling: what is transferred."""
    from tensorflow import keras

    return keras.Sequential(
        [
            keras.layers.Input((28, 28, 1)),
            keras.layers.Conv2D(16, 3, activation="relu", padding="same"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu", padding="same"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
        ]
    )


class Dense:
    """The network of ``dense_oracle`` in Keras."""

    def __init__(self, weights: Sequence[Array], rule: Rule) -> None:
        from tensorflow import keras

        self.network = keras.Sequential(
            [
                keras.layers.Input((SHAPES[0][0],)),
                keras.layers.Dense(HIDDEN, activation="relu"),
                keras.layers.Dense(CLASSES),
            ]
        )
        self.network.set_weights(list(weights))
        self.network.compile(
            optimizer(rule), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )

    def step(self, images: Array, labels: Array) -> float:
        """One step; returns the loss before it."""
        self.network.reset_metrics()
        return float(np.asarray(self.network.train_on_batch(images, labels)).ravel()[0])

    def weights(self) -> list[Array]:
        """The weights on the host."""
        return [np.asarray(one) for one in self.network.get_weights()]


def optimizer(rule: Rule) -> Any:
    """The Keras optimizer of a rule."""
    from tensorflow import keras

    if rule.name == "sgd":
        return keras.optimizers.SGD(rule.rate, momentum=rule.momentum)
    low, high = rule.betas
    return keras.optimizers.Adam(rule.rate, beta_1=low, beta_2=high, epsilon=rule.epsilon)


def reload(network: Any, folder: Path, kind: str) -> Any:
    """The network saved in a format and loaded again."""
    from tensorflow import keras

    file = folder / f"network.{kind}"
    network.save(file)
    return keras.models.load_model(file)
