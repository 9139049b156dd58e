"""The tables of published figures and of chips are whole, and each figure has its source."""

from __future__ import annotations

import dataclasses
import re

import pytest

from pytest_applesilicon.data import chips, published
from pytest_applesilicon.records import Host

MODELS = ("vgg16", "alexnet", "resnet18", "mobilenet_v2", "efficientnet_b0")


@pytest.mark.parametrize("workload", published.workloads())
def test_every_figure_is_a_number_with_unit_machine_and_source(workload: str):
    for one in published.figures(workload):
        assert re.fullmatch(r"\d+(\.\d+)?( to \d+(\.\d+)?)?", one.value), one
        assert one.unit in ("s", "ms", "us", "TFLOPS", "GB/s"), one
        assert one.machine, one
        assert one.device in ("cpu", "mps", "gpu", "cuda"), one
        assert one.source, one


@pytest.mark.parametrize("batch", [4, 64])
@pytest.mark.parametrize("model", MODELS)
def test_epochs_of_the_five_models_have_a_figure_of_cpu_and_mps(model: str, batch: int):
    found = published.figures(f"{model} epoch, batch {batch}")

    assert [one.device for one in found] == ["cpu", "mps"]


def test_a_workload_that_nobody_published_has_no_figure():
    assert published.figures("matmul float32 256") == ()


M1_PRO = Host("macOS", chip="Apple M1 Pro", gpu_cores=16, virtual=False)


def test_peak_of_a_known_chip_is_between_its_sources():
    peak = chips.peak_of(M1_PRO)

    assert peak == chips.Peak(5.20, 5.31, 200)


@pytest.mark.parametrize(
    "changes",
    [{"chip": "Apple M9 Hyper"}, {"gpu_cores": 15}, {"gpu_cores": None}, {"virtual": True}],
)
def test_peak_of_another_chip_is_not_known(changes: dict[str, object]):
    assert chips.peak_of(dataclasses.replace(M1_PRO, **changes)) is None
