"""Load saved weights in a process of its own and predict: ``predict.py NETWORK IN OUT DEVICE``.

IN holds the state dictionary and the images; OUT gets the weights as loaded and the labels.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import torch

from pytest_applesilicon import frameworks


def main(name: str, source: str, target: str, spec: str) -> None:
    """Predict on the device ``spec`` and save what was loaded and what came out."""
    device = frameworks.load("torch").device(spec)
    networks = runpy.run_path(str(Path(__file__).with_name("networks.py")))
    saved = torch.load(source, map_location=device, weights_only=True)
    network = networks["NETWORKS"][name]().to(device)
    network.load_state_dict(saved["state"])
    network.eval()
    with torch.no_grad():
        labels = network(saved["images"]).argmax(dim=1)
    torch.save(
        {
            "state": {key: value.cpu() for key, value in network.state_dict().items()},
            "labels": labels.cpu(),
        },
        target,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
