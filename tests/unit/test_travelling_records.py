"""A record travels on a report: as it is in one process, as text out of a worker."""

from __future__ import annotations

import types

import pytest

from pytest_applesilicon import recorder
from pytest_applesilicon.records import Record

RECORD = Record("t.py::test_it", "t.py::test_it", "passed", duration_s=0.25)


@pytest.mark.parametrize(
    ("config", "travels"),
    [
        pytest.param(types.SimpleNamespace(), Record, id="one process"),
        pytest.param(types.SimpleNamespace(workerinput={}), str, id="worker of pytest-xdist"),
        pytest.param(types.SimpleNamespace(applesilicon_child=True), str, id="isolated child"),
    ],
)
def test_a_record_comes_off_its_report_as_it_was_put_there(config, travels):
    report = types.SimpleNamespace(user_properties=[("theirs", 1)])

    recorder.leave(config, report, RECORD)

    assert [type(value) for _, value in report.user_properties] == [int, travels]
    assert recorder.take(report) == RECORD
    assert report.user_properties == [("theirs", 1)]
    assert recorder.take(report) is None
