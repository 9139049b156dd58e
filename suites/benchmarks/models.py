"""The models that people time: of torchvision and transformers, with random weights.

Nothing is downloaded. ``APPLESILICON_MODELS=required`` makes a package that is not installed a
failure instead of a skip: for CI, where a skip would go unnoticed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_applesilicon import frameworks
from pytest_applesilicon.frameworks import vision

if TYPE_CHECKING:
    from types import ModuleType

VARIABLE = "APPLESILICON_MODELS"
ACCEPTED = ("required", "optional")

IMAGENET = ("vgg16", "alexnet", "resnet18", "mobilenet_v2", "efficientnet_b0")


def need(package: str) -> ModuleType:
    """The package, imported; a skip, or where models are required a failure, without it."""
    asked = os.environ.get(VARIABLE) or "optional"
    if asked not in ACCEPTED:
        pytest.fail(f"{VARIABLE}={asked}: accepted are {', '.join(ACCEPTED)}", pytrace=False)
    if not frameworks.found(package):
        remedy = "pip install 'pytest-applesilicon[models]'"
        if asked == "required":
            pytest.fail(f"{VARIABLE}=required: {package} is not installed: {remedy}", pytrace=False)
        pytest.skip(f"{package} is not installed: {remedy}")
    # transformers imports torchvision where that is installed.
    vision.prepare()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    module: ModuleType = pytest.importorskip(package, exc_type=ModuleNotFoundError)
    return module


def imagenet(name: str, seed: int, classes: int) -> Any:
    """A model of torchvision, drawn on the host from the seed."""
    models = need("torchvision").models
    torch.manual_seed(seed)
    return getattr(models, name)(weights=None, num_classes=classes)


def bert(seed: int, *, full: bool) -> Any:
    """BERT-base (12 layers of 768), or two layers of 128; drawn on the host from the seed."""
    transformers = need("transformers")
    torch.manual_seed(seed)
    sizes = {
        "num_hidden_layers": 2,
        "hidden_size": 128,
        "num_attention_heads": 2,
        "intermediate_size": 512,
    }
    return transformers.BertModel(transformers.BertConfig(**({} if full else sizes)))


def lstm(size: int, seed: int) -> Any:
    """One layer of LSTM, batch first; drawn on the host from the seed."""
    torch.manual_seed(seed)
    return torch.nn.LSTM(size, size, batch_first=True)
