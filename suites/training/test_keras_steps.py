"""The device trains what the CPU trains: Dense, convolution and LSTM, 20 steps of SGD and Adam.

What is documented of tensorflow-metal is wrong training (tensorflow#92686, tensorflow#62361,
keras-team/tf-keras#140), so each kind of layer is trained from the same weights on the CPU, with
the GPU hidden, and on the device, in processes of their own. The reference is the CPU's float64;
what is allowed is what rounding does to the CPU's float32 (as in ``test_loss_curve``).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from . import keras_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("tensorflow")

#: As in ``test_loss_curve``.
MARGIN = 10

#: Seconds: importing TensorFlow takes up to half a minute, a run of an LSTM some seconds.
TIME_LIMIT_S = 300

Curves = dict[str, np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Curves]:
    """The losses that a new process makes on a device; each device once."""
    made: dict[str, Curves] = {}

    def run(spec: str, seed: int) -> Curves:
        if spec not in made:
            target = tmp_path_factory.mktemp("steps") / "losses.npz"
            command = [sys.executable, str(Path(keras_steps.__file__)), spec, str(seed)]
            done = subprocess.run(
                [*command, str(target)],
                capture_output=True,
                text=True,
                timeout=TIME_LIMIT_S,
                check=False,
            )
            assert done.returncode == 0, f"the process on {spec} failed:\n{done.stderr[-2000:]}"
            with np.load(target) as saved:
                made[spec] = dict(saved)
        return made[spec]

    return run


def check(label: str, host: Curves, found: np.ndarray[Any, Any]) -> float:
    """Fail where the losses on the device are not those of the CPU; returns error / allowed."""
    exact = host[f"{label}-float64"]
    rounded = [host[f"{label}-order{one + 1}"] for one in range(keras_steps.ORDERS)]
    rounding = np.max([np.abs(one - exact) for one in rounded], axis=0)
    allowed = MARGIN * np.maximum.accumulate(rounding)
    allowed += MARGIN * np.finfo(np.float32).eps * np.abs(exact)
    error = np.abs(found - exact)
    worst = int(np.argmax(error / allowed))
    assert exact[-1] < exact[0], f"{label}: the loss does not fall in float64: {exact}"
    assert (error <= allowed).all(), (
        f"{label}: at step {worst + 1} the loss is {found[worst]:.9g}, "
        f"in float64 {exact[worst]:.9g}: off by {error[worst]:.3g}, allowed {allowed[worst]:.3g}"
    )
    return float(error[worst] / allowed[worst])


@pytest.mark.parametrize("optimizer", keras_steps.OPTIMIZERS)
@pytest.mark.parametrize("network", keras_steps.NETWORKS)
def test_steps_agree_with_the_cpu(
    network: str,
    optimizer: str,
    applesilicon: AppleSilicon,
    device: Any,
    curves: Callable[[str, int], Curves],
) -> None:
    seed, label = applesilicon.settings.seed, f"{network}-{optimizer}"
    ratio = check(label, curves("cpu", seed), curves(applesilicon.spec, seed)[label])
    applesilicon.measure(f"{label} steps error / allowed", ratio)
