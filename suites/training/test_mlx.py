"""MLX on real digits: two networks learn, are saved and loaded, and features are transferred."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from . import mlx_networks, transfer

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_applesilicon.data.mnist import Mnist
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("mlx")

logger = logging.getLogger(__name__)

#: Epochs, batch size, and the accuracy that must be reached on the shipped subset and the full
#: set; those of the mlp are torch's (``test_learning``). Measured: see CONTRIBUTING.
RUNS = {"mlp": (5, 32, 0.935, 0.97), "strided_cnn": (4, 32, 0.92, 0.95)}


@pytest.mark.parametrize("name", list(RUNS))
def test_network_learns_digits_and_predicts_the_same_after_saving(
    name: str, applesilicon: AppleSilicon, device: Any, mnist: Mnist, tmp_path: Path
) -> None:
    epochs, size, *wanted = RUNS[name]
    applesilicon.framework.seed(applesilicon.settings.seed)
    images = (mnist.train_images / 255).astype(np.float32)[..., None]
    tested = (mnist.test_images / 255).astype(np.float32)[..., None]
    network = mlx_networks.NETWORKS[name]()
    trainer = mlx_networks.Trainer(network, mlx_networks.adam())

    losses = trainer.fit(
        images,
        mnist.train_labels,
        epochs=int(epochs),
        size=int(size),
        seed=applesilicon.settings.seed,
        say=logger.info,
    )
    predicted = mlx_networks.predict(network, tested)
    reached = float((predicted == mnist.test_labels).mean())

    applesilicon.measure(f"{name} test accuracy", reached)
    assert losses[-1] < 0.5 * losses[0], f"the loss does not fall: {losses}"
    least = wanted[mnist.full]
    assert reached >= least, f"{name} recognises {reached:.4f} of {mnist.source}, not {least}"
    again = mlx_networks.reload(
        network, mlx_networks.NETWORKS[name](), tmp_path / "network.safetensors"
    )
    repeated = mlx_networks.predict(again, tested)
    changed = int((repeated != predicted).sum())
    assert changed == 0, f"the reloaded network predicts {changed} of {len(tested)} labels anew"


def test_features_are_transferred_to_other_digits(
    applesilicon: AppleSilicon, device: Any, mnist: Mnist
) -> None:
    import mlx.core as mx
    from mlx import nn
    from mlx.utils import tree_flatten

    applesilicon.framework.seed(applesilicon.settings.seed)
    first, second = transfer.tasks(mnist)
    features = mlx_networks.features()

    def train(task: transfer.Task) -> float:
        network = nn.Sequential(features, *mlx_networks.head(transfer.HIDDEN, transfer.CLASSES))
        trainer = mlx_networks.Trainer(network, mlx_networks.adam())
        trainer.fit(
            task.images,
            task.labels,
            epochs=transfer.EPOCHS,
            size=transfer.BATCH,
            seed=applesilicon.settings.seed,
            say=logger.info,
        )
        predicted = mlx_networks.predict(network, task.test_images)
        return float((predicted == task.test_labels).mean())

    def weights() -> list[Any]:
        return [np.array(one) for _, one in tree_flatten(features.parameters())]

    learned = train(first)
    mx.eval(features.parameters())
    frozen = weights()
    features.freeze()
    transferred = train(second)

    applesilicon.measure("digits 0 to 4 accuracy", learned)
    applesilicon.measure("transferred to 5 to 9 accuracy", transferred)
    transfer.check(learned, transferred, frozen, weights())
