"""JAX on real digits: the network of two dense layers learns them, with JAX's own optimizer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from . import jax_networks
from .dense_oracle import ADAM, CLASSES, glorot

if TYPE_CHECKING:
    from pytest_applesilicon.data.mnist import Mnist
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("jax")

logger = logging.getLogger(__name__)

EPOCHS, SIZE, HIDDEN = 5, 32, 128

#: As for the same network in torch (``test_learning``): the shipped subset, the full set.
ACCURACY = (0.935, 0.97)


def test_mlp_learns_digits(applesilicon: AppleSilicon, device: Any, mnist: Mnist) -> None:
    seed = applesilicon.settings.seed
    images, tested = (
        (one.reshape(len(one), -1) / 255).astype(np.float32)
        for one in (mnist.train_images, mnist.test_images)
    )
    weights = glorot(((784, HIDDEN), (HIDDEN,), (HIDDEN, CLASSES), (CLASSES,)), seed)
    network = jax_networks.Dense(weights, ADAM)

    losses = network.fit(
        images, mnist.train_labels, epochs=EPOCHS, size=SIZE, seed=seed, say=logger.info
    )
    predicted = jax_networks.predict(network.weights(), tested)
    reached = float((predicted == mnist.test_labels).mean())

    applesilicon.measure("mlp test accuracy", reached)
    assert losses[-1] < 0.5 * losses[0], f"the loss does not fall: {losses}"
    wanted = ACCURACY[mnist.full]
    assert reached >= wanted, f"mlp recognises {reached:.4f} of {mnist.source}, not {wanted}"
