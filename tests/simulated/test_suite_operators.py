"""What the operator suite asks of a device is what a device can do."""

from __future__ import annotations

import pytest

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
