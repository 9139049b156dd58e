"""A call is right the second time as well: graphs and constants are kept between calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon.agreement.operators import find

from .share import calling, judge_operator, moved, run, samples

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")

DTYPE = "float32"

#: How many samples are taken in turn: calls of one shape may differ in a number alone.
SAMPLES = 2


def test_repeated(repeated_operator: str, applesilicon: AppleSilicon, device: Any) -> None:
    """The same calls twice, then with other values; and all of it after the cache is emptied."""
    record, seed = find(repeated_operator), applesilicon.settings.seed
    if DTYPE not in record.dtypes:
        pytest.skip(f"not defined in {DTYPE}")
    drawn = [
        sample
        for number in (seed, seed, seed + 1)
        for sample in samples(record, DTYPE, number, SAMPLES)
    ]
    for emptied in (False, True):
        if emptied:
            applesilicon.framework.empty_cache(applesilicon.spec)
        for sample in drawn:
            given = sample.args, dict(sample.kwargs)
            args, kwargs = moved(given, device)
            actual = run(calling(record, sample), args, kwargs, given)
            judge_operator(actual, record, sample, *given, DTYPE)
