"""Gradients are those of something that every correct device computes alike."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from pytest_applesilicon.agreement import gradients  # noqa: E402


@pytest.mark.parametrize("name", ["linalg.eigvals", "linalg.eig"])
def test_the_order_of_eigenvalues_changes_no_gradient(name: str):
    matrix = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix.requires_grad_()
    order = torch.tensor([3, 0, 4, 1, 2])

    def gradient(shuffled: bool):
        values, vectors = torch.linalg.eig(matrix)
        if shuffled:
            values, vectors = values[order], vectors[:, order]
        result = values if name == "linalg.eigvals" else (values, vectors)
        process = gradients.in_any_order(name, result)
        return gradients.backward(process, [matrix], "contiguous")[0]

    assert torch.allclose(gradient(False), gradient(True), rtol=1e-9)


def test_other_results_are_differentiated_as_they_are():
    result = torch.ones(3)
    assert gradients.in_any_order("svd", result) is result
