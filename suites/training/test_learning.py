"""Networks learn real digits on the device, as well as they do anywhere."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch", reason="written for torch, which is not installed")

from . import loop

if TYPE_CHECKING:
    from pytest_applesilicon.data.mnist import Mnist
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")

logger = logging.getLogger(__name__)

EPOCHS = {"two_layer_net": 5, "mlp": 5, "cnn": 3}

#: Accuracy on the test digits that must be reached, on the shipped subset and the full set.
#: Measured over seeds 0 to 4 on the CPU, with torch 2.13: see CONTRIBUTING.
ACCURACY = {
    "two_layer_net": (0.93, 0.97),
    "mlp": (0.935, 0.97),
    "cnn": (0.955, 0.98),
}


@pytest.mark.parametrize("name", list(EPOCHS))
def test_network_learns_digits(
    name: str, applesilicon: AppleSilicon, device: Any, mnist: Mnist
) -> None:
    digits = loop.Digits.on(device, mnist)
    # The published run of the two-layer network is 25 epochs.
    full = applesilicon.settings.size == "full"
    epochs = 25 if full and name == "two_layer_net" else EPOCHS[name]

    network, losses = loop.train(
        name, digits, epochs=epochs, seed=applesilicon.settings.seed, say=logger.info
    )
    reached = loop.accuracy(network, digits)

    applesilicon.measure(f"{name} test accuracy", reached)
    assert losses[-1] < 0.5 * losses[0], f"the loss does not fall: {losses}"
    wanted = ACCURACY[name][mnist.full]
    assert reached >= wanted, f"{name} recognises {reached:.4f} of {mnist.source}, not {wanted}"
