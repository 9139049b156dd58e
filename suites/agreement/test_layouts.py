"""Every operator gives the same, however its inputs are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon.agreement import layouts
from pytest_applesilicon.agreement.operators import find

from .share import calling, judge_operator, moved, run, samples

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")

DTYPE = "float32"

#: How many samples are looked through for the first whose inputs take the layout.
SAMPLES = 16

#: Operators whose result is defined by how their input is stored.
BY_STORAGE = {"as_strided_scatter": "its size and strides are those of the storage"}


def test_layout(layout: str, operator: str, applesilicon: AppleSilicon, device: Any) -> None:
    if operator in BY_STORAGE:
        pytest.skip(BY_STORAGE[operator])
    record = find(operator)
    if DTYPE not in record.dtypes:
        pytest.skip(f"not defined in {DTYPE}")
    for sample in samples(record, DTYPE, applesilicon.settings.seed, SAMPLES):
        given = sample.args, dict(sample.kwargs)
        (args, kwargs), count = layouts.applied(moved(given, device), layout)
        if count or layout == "contiguous":
            actual = run(calling(record, sample), args, kwargs, given, layout)
            judge_operator(actual, record, sample, *given, DTYPE)
            return
    pytest.skip("no input of the first samples can be stored so")
