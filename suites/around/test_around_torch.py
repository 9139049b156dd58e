"""Packages around torch, with the model on the device of the test."""

from __future__ import annotations

import importlib
import importlib.util
import platform
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="written for torch, which is not installed")

import torch
from torch import nn

from pytest_applesilicon.frameworks import vision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_applesilicon.data.mnist import Mnist
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = [
    pytest.mark.frameworks("torch"),
    # These packages are not ours to keep free of warnings.
    pytest.mark.filterwarnings("default"),
]

#: Digits to learn from: as few as make a network clearly better than guessing.
COUNT = 3000

#: Least share of test digits that must be recognised by what learned from COUNT digits. Measured
#: on the CPU with seeds 0 and 1: 0.886 with Lightning, 0.894 and 0.896 with the pipeline.
LIGHTNING, PIPELINE = 0.85, 0.86


def need(module: str, distribution: str = "") -> Any:
    """The module, imported; a skip that names what to install where it is not."""
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        name = distribution or module
        pytest.skip(f"{name} is not installed: pip install {name}")
    vision.prepare()  # both Lightning and transformers import torchvision where it is installed
    return importlib.import_module(module)


def share_recognised(network: Any, images: Any, labels: Any, device: Any) -> float:
    """The share of images whose label a network gives."""
    network = network.to(device).eval()
    with torch.no_grad():
        guesses = network(torch.from_numpy(images).to(device)).argmax(dim=1).cpu().numpy()
    return float((guesses == labels).mean())


def test_lightning_trains_on_the_device(
    applesilicon: AppleSilicon, device: Any, mnist: Mnist, tmp_path: Path
) -> None:
    lightning = need("lightning")
    seen: set[str] = set()

    class Digits(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
            )

        def forward(self, images: Any) -> Any:
            return self.layers(images)

        def training_step(self, batch: Any, _number: int) -> Any:
            images, labels = batch
            seen.add(images.device.type)
            return nn.functional.cross_entropy(self(images), labels)

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    torch.manual_seed(applesilicon.settings.seed)
    images = (mnist.train_images[:COUNT] / 255).astype(np.float32)
    labels = torch.from_numpy(mnist.train_labels[:COUNT]).long()
    data = torch.utils.data.TensorDataset(torch.from_numpy(images), labels)
    network = Digits()
    trainer = lightning.Trainer(
        accelerator=torch.device(device).type,
        devices=1,
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )

    trainer.fit(network, torch.utils.data.DataLoader(data, batch_size=32, shuffle=True))

    tested = (mnist.test_images / 255).astype(np.float32)
    reached = share_recognised(network, tested, mnist.test_labels, device)
    applesilicon.measure("lightning test accuracy", reached)
    assert seen == {torch.device(device).type}, f"the batches were on {sorted(seen)}"
    assert reached >= LIGHTNING, f"{reached:.4f} of the digits are recognised, not {LIGHTNING}"


def test_bert_gives_what_float64_allows(
    device: Any, assert_module_agrees: Callable[..., None], applesilicon: AppleSilicon
) -> None:
    """Two layers of BERT from a configuration, with random weights."""
    transformers = need("transformers")
    torch.manual_seed(applesilicon.settings.seed)
    shape = transformers.BertConfig(
        vocab_size=100,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
    )

    class LastHidden(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.bert = transformers.BertModel(shape)

        def forward(self, words: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.bert(input_ids=words).last_hidden_state
            return found

    words = torch.randint(0, 100, (2, 16))

    assert_module_agrees(LastHidden().eval(), words, gradients=False)


def converted(applesilicon: AppleSilicon) -> tuple[Any, Any, Any]:
    """A network, an input, and what Core ML makes of the network."""
    coremltools = need("coremltools")
    torch.manual_seed(applesilicon.settings.seed)
    network = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4), nn.Softmax(dim=1)).eval()
    given = torch.randn(2, 16)
    program = torch.jit.trace(network, given)
    model = coremltools.convert(
        program,
        inputs=[coremltools.TensorType(name="given", shape=tuple(given.shape))],
        outputs=[coremltools.TensorType(name="found")],
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.macOS13,
    )
    return network, given, model


def test_core_ml_converts_a_network(applesilicon: AppleSilicon, device: Any) -> None:
    _, given, model = converted(applesilicon)

    described = model.get_spec().description
    names = [one.name for one in described.input], [one.name for one in described.output]
    shape = tuple(described.input[0].type.multiArrayType.shape)
    assert (names, shape) == ((["given"], ["found"]), tuple(given.shape))
    operations = {
        operation.type
        for function in model.get_spec().mlProgram.functions.values()
        for block in function.block_specializations.values()
        for operation in block.operations
    }
    assert {"linear", "relu", "softmax"} <= operations, f"converted to {sorted(operations)}"


def test_core_ml_predicts_what_torch_does(applesilicon: AppleSilicon, device: Any) -> None:
    if platform.system() != "Darwin":
        pytest.skip("Core ML predicts on macOS only")
    network, given, model = converted(applesilicon)

    found = next(iter(model.predict({"given": given.numpy()}).values()))

    with torch.no_grad():
        exact = network.double()(given.double()).numpy()
    # Probabilities, computed in float32 or, on the Neural Engine, in float16.
    limit = 4 * float(np.finfo(np.float16).eps)
    off = float(np.abs(found - exact).max())
    assert off <= limit, f"Core ML is {off:.3g} off, allowed {limit:.3g}"


def test_pipeline_of_opencv_and_scikit_learn_feeds_the_device(
    applesilicon: AppleSilicon, device: Any, mnist: Mnist
) -> None:
    """OpenCV makes the digits smaller, scikit-learn decorrelates them, torch learns them."""
    cv2 = need("cv2", "opencv-python-headless")
    need("sklearn", "scikit-learn")
    from sklearn.decomposition import PCA
    from sklearn.metrics import accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def small(images: Any) -> Any:
        halves = [cv2.resize(one, (14, 14), interpolation=cv2.INTER_AREA) for one in images]
        return np.stack(halves).reshape(len(images), -1) / 255

    seed = applesilicon.settings.seed
    torch.manual_seed(seed)
    prepare = make_pipeline(StandardScaler(), PCA(48, random_state=seed))
    inputs = prepare.fit_transform(small(mnist.train_images[:COUNT])).astype(np.float32)
    labels = torch.from_numpy(mnist.train_labels[:COUNT]).long().to(device)
    network = nn.Sequential(nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 10)).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    there = torch.from_numpy(inputs).to(device)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(there), labels).backward()
        optimizer.step()

    tested = torch.from_numpy(prepare.transform(small(mnist.test_images)).astype(np.float32))
    with torch.no_grad():
        guesses = network(tested.to(device)).argmax(dim=1).cpu().numpy()
    reached = float(accuracy_score(mnist.test_labels, guesses))
    applesilicon.measure("pipeline test accuracy", reached)
    assert reached >= PIPELINE, f"{reached:.4f} of the digits are recognised, not {PIPELINE}"
