"""20 steps of SGD and of Adam give the losses and the weights that NumPy gives in float64.

For every framework but torch, which has ``test_loss_curve``. What is allowed is measured, as
there: the same steps in float32 on the host, with the samples of each batch in other orders,
show what rounding alone does to them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from . import dense_oracle
from .dense_oracle import BATCH, RULES, Dense, batches, first_weights

if TYPE_CHECKING:
    from pytest_applesilicon.data.mnist import Mnist
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("tensorflow", "mlx", "jax")

STEPS = 20
ORDERS = 4

#: As in ``test_loss_curve``: forward and backward pass and the optimizer make about ten further
#: roundings on the way of each weight, of which the reordered runs show only the sums.
MARGIN = 10


def network_of(framework: str, weights: list[Any], rule: dense_oracle.Rule) -> Any:
    """The framework's own network of two dense layers."""
    if framework == "tensorflow":
        from . import keras_networks

        return keras_networks.Dense(weights, rule)
    if framework == "mlx":
        from . import mlx_networks

        return mlx_networks.Dense(weights, rule)
    from . import jax_networks

    return jax_networks.Dense(weights, rule)


def rule_of(optimizer: str, applesilicon: AppleSilicon) -> dense_oracle.Rule:
    """The optimizer as the framework of this test defines it."""
    return replace(RULES[optimizer], epsilon_hat=applesilicon.framework.name == "tensorflow")


@pytest.mark.parametrize("optimizer", list(RULES))
def test_steps_agree_with_numpy(
    optimizer: str, applesilicon: AppleSilicon, device: Any, mnist: Mnist
) -> None:
    rule, seed = rule_of(optimizer, applesilicon), applesilicon.settings.seed
    images = mnist.train_images.reshape(len(mnist.train_images), -1) / 255
    labels = mnist.train_labels.astype(np.int64)
    exact, *rounded = (
        dense_oracle.curve(
            rule, images, labels, steps=STEPS, seed=seed, dtype=dtype, reorder=reorder
        )
        for dtype, reorder in [(np.float64, 0), *((np.float32, one + 1) for one in range(ORDERS))]
    )
    network = network_of(applesilicon.framework.name, first_weights(seed), rule)

    found = np.asarray(
        [
            network.step(images[batch].astype(np.float32), labels[batch])
            for batch in batches(len(labels), BATCH, seed)[:STEPS]
        ]
    )

    rounding = np.max([np.abs(one - exact) for one in rounded], axis=0)
    allowed = MARGIN * np.maximum.accumulate(rounding)
    allowed += MARGIN * np.finfo(np.float32).eps * np.abs(exact)
    error = np.abs(found - exact)
    worst = int(np.argmax(error / allowed))
    applesilicon.measure(f"dense {optimizer} curve error / allowed", error[worst] / allowed[worst])
    assert (error <= allowed).all(), (
        f"{optimizer}: at step {worst + 1} the loss is {found[worst]:.9g}, "
        f"in float64 {exact[worst]:.9g}: off by {error[worst]:.3g}, allowed {allowed[worst]:.3g}"
    )


@pytest.mark.parametrize("optimizer", list(RULES))
def test_first_step_moves_every_weight_as_numpy_does(
    optimizer: str, applesilicon: AppleSilicon, device: Any, mnist: Mnist
) -> None:
    """After one step nothing has been amplified yet: each weight is held against its own."""
    rule, seed = rule_of(optimizer, applesilicon), applesilicon.settings.seed
    start = first_weights(seed)
    batch = batches(len(mnist.train_labels), BATCH, seed)[0]
    images = mnist.train_images[batch].reshape(BATCH, -1) / 255
    labels = mnist.train_labels[batch].astype(np.int64)
    network = network_of(applesilicon.framework.name, start, rule)
    network.step(images.astype(np.float32), labels)
    found = network.weights()

    runs = []
    for number in range(1 + ORDERS):
        oracle = Dense(start, rule, np.float32 if number else np.float64)
        order = np.random.default_rng(number).permutation(BATCH)
        oracle.step(images[order], labels[order])
        runs.append(oracle.weights)
    for place, (one, exact) in enumerate(zip(found, runs[0], strict=True)):
        rounding = np.max([np.abs(run[place] - exact) for run in runs[1:]], axis=0)
        # Of one element a few orders say little; what rounding does to a layer says more.
        usual = np.quantile(rounding, 0.99)
        allowed = MARGIN * np.maximum(rounding, usual)
        allowed += MARGIN * np.finfo(np.float32).eps * np.abs(exact)
        error = np.abs(one - exact)
        worst = np.unravel_index(int(np.argmax(error / allowed)), error.shape)
        assert (error <= allowed).all(), (
            f"{optimizer}: after one step weight {worst} of layer {place} is {one[worst]:.9g}, "
            f"in float64 {exact[worst]:.9g}: off by {error[worst]:.3g}, "
            f"allowed {allowed[worst]:.3g}"
        )
