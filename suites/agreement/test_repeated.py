"""A call is right the second time as well: graphs and constants are kept between calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_applesilicon.agreement.operators import find

from .share import calling, judge_operator, moved, run, samples

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")

DTYPE = "float32"


def empty_cache(device: Any) -> None:
    """Give back what the device keeps for later calls."""
    if device.type == "mps":
        torch.mps.empty_cache()
    elif device.type == "cuda":
        torch.cuda.empty_cache()


def test_repeated(repeated_operator: str, applesilicon: AppleSilicon, device: Any) -> None:
    record, seed = find(repeated_operator), applesilicon.settings.seed
    if DTYPE not in record.dtypes:
        pytest.skip(f"not defined in {DTYPE}")
    # The same shapes with other values, and the first ones again from fresh memory.
    for number in (seed, seed + 1, seed):
        for sample in samples(record, DTYPE, number, 1):
            given = sample.args, dict(sample.kwargs)
            args, kwargs = moved(given, device)
            actual = run(calling(record, sample), args, kwargs, given)
            judge_operator(actual, record, sample, *given, DTYPE)
        if number != seed:
            empty_cache(device)
