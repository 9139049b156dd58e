"""What the operator suite asks of a device is what a device can do."""

from __future__ import annotations

import pytest
import torch

from pytest_applesilicon.agreement.operators import check


@pytest.mark.parametrize(
    ("operator", "dtype", "outcome"),
    [
        ("tensor_split", "float32", "native"),
        ("to", "float32", "unsupported"),
        ("add", "float32", "native"),
        ("linalg.eig", "float32", "unsupported"),
    ],
)
def test_the_outcome_of_an_operator(operator, dtype, outcome):
    found = check(operator, dtype, device="mps:0", count=3)

    assert found.outcome == outcome, found.reason


def test_a_missing_operator_falls_back(fallback):
    assert check("linalg.eigvals", "float32", device="mps:0", count=2).outcome == "fallback"


def test_a_kernel_looked_up_past_the_dispatcher_is_unsupported():
    found = check("conj_physical", "complex64", device="mps:0", direction="inplace", count=1)

    assert found.outcome == "unsupported", found.reason


@pytest.mark.parametrize("operator", ["linalg.svd", "svd"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_always_falls_back_keeps_its_gradient(operator):
    found = check(operator, "float32", device="mps:0", direction="gradient")

    assert found.outcome == "fallback", found.reason


def test_a_list_of_devices_without_mps_is_unsupported(fallback):
    found = check("mode", "float32", device="mps:0", direction="out", count=1)

    assert found.outcome == "unsupported", found.reason


def test_the_gradients_of_a_layer_without_features():
    shapes = [(0, 3, 3), (0, 3), (0,)]
    tensors = [torch.zeros(shape, device="mps", requires_grad=True) for shape in shapes]

    torch.nn.functional.linear(*tensors).sum().backward()

    assert [tuple(one.grad.shape) for one in tensors] == shapes
