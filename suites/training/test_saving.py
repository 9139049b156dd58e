"""A saved network predicts the same in a new process, on a device chosen anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch", reason="written for torch, which is not installed")

import torch

from pytest_applesilicon import assert_same

from . import loop, predict
from .networks import NETWORKS, optimizer_for

if TYPE_CHECKING:
    from pytest_applesilicon.data.mnist import Mnist
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")

#: Seconds: importing torch from a cold disk takes up to half a minute.
TIME_LIMIT_S = 120


@pytest.mark.parametrize("name", list(NETWORKS))
def test_reloaded_network_predicts_the_same(
    name: str, applesilicon: AppleSilicon, device: Any, mnist: Mnist, tmp_path: Path
) -> None:
    digits = loop.Digits.on(device, mnist)
    network = loop.build(name, applesilicon.settings.seed, device)
    optimizer = optimizer_for(name, network.parameters())
    loop.train_epoch(network, optimizer, digits, loop.batches(2000, 100, 0, 0))
    network.eval()
    images = digits.test_images[:500]
    with torch.no_grad():
        labels = network(images).argmax(dim=1).cpu()
    source, target = tmp_path / "saved.pt", tmp_path / "predicted.pt"
    torch.save({"state": network.state_dict(), "images": images}, source)

    command = [sys.executable, str(Path(predict.__file__)), name, str(source), str(target)]
    done = subprocess.run(
        [*command, applesilicon.spec],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, f"the new process failed:\n{done.stderr}"
    loaded = torch.load(target, weights_only=True)
    assert_same(loaded["state"], {key: value.cpu() for key, value in network.state_dict().items()})
    assert_same(loaded["labels"], labels)
