"""torchvision beside a torch that its compiled operators do not load into."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_applesilicon.frameworks import vision

LOADS = """
import torch
from pytest_applesilicon.frameworks import vision
there = vision.prepare()
assert vision.prepare() == there
import torchvision
with torch.no_grad():
    found = torchvision.models.resnet18(num_classes=3).eval()(torch.zeros(1, 3, 32, 32))
print(there, tuple(found.shape))
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Writes the files of an installed torch and torchvision."""

    def write(version: str, *, cuda: bool) -> None:
        (tmp_path / "torch" / "lib").mkdir(parents=True)
        (tmp_path / "torchvision").mkdir()
        (tmp_path / "torchvision" / "version.py").write_text(f"__version__ = '{version}'\n")
        if cuda:
            (tmp_path / "torch" / "lib" / "libtorch_cuda.so").touch()
        monkeypatch.setattr(vision, "_folder", lambda package: tmp_path / package)

    return write


def test_a_cuda_torchvision_beside_a_cpu_torch_is_noted(installed):
    installed("0.28.0+cu130", cuda=False)

    assert vision.note() == (
        "torchvision: its compiled operators want CUDA (cu130) and do not load; "
        "nms and qnms are declared, not usable"
    )


@pytest.mark.parametrize(
    ("version", "cuda"),
    [("0.28.0+cu130", True), ("0.28.0+cpu", False), ("0.28.0", False)],
)
def test_a_torchvision_that_may_load_is_not_noted(installed, version: str, cuda: bool):
    installed(version, cuda=cuda)

    assert vision.note() == ""


def test_nothing_is_noted_where_it_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(vision, "_folder", lambda package: None)
    assert vision.note() == ""

    monkeypatch.setattr(vision, "_folder", lambda package: Path(tmp_path))
    assert vision.note() == ""


def test_torchvision_is_imported_and_computes_once_prepared():
    pytest.importorskip("torch")
    pytest.importorskip("PIL")
    if vision._folder("torchvision") is None:
        pytest.skip("torchvision is not installed")

    done = subprocess.run(
        [sys.executable, "-c", LOADS], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.stdout.split(maxsplit=1)[1] == "(1, 3)\n", done.stderr
    assert (done.stdout.split()[0] == "False") == bool(vision.note())
