"""An operator's outcome survives the trip through JSON, non-finite figures included."""

from __future__ import annotations

import math

from pytest_applesilicon.records import OpOutcome, Record, record_from_json, to_json


def test_operator_outcome_survives_the_trip_through_json():
    found = OpOutcome(
        "add", "pointwise", "float32", "out", "wrong", 3, "off\nby one", 0.5, math.inf, 1
    )
    record = Record("t", "t", "failed", "torch", "mps", operator=found)

    assert record_from_json(to_json(record)) == record
