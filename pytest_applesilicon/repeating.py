"""A failed device test run again: evidence of whether it is deterministic, never a cure.

The verdict is that of the first run. The test's own fixtures are made anew for each repeat;
those of a wider scope are what they would be for the next test.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import recorder, workers
from pytest_applesilicon.marks import has_own_device, target_of
from pytest_applesilicon.records import Repeats

if TYPE_CHECKING:
    from collections.abc import Sequence


class Repeating:
    """The hook that runs a failed device test ``times`` more times."""

    def __init__(self, runner: Any, times: int) -> None:
        self._runner = runner
        self._times = times

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        if target_of(item) is None and not has_own_device(item):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = self._runner.runtestprotocol(item, log=False, nextitem=nextitem)
        if any(report.failed for report in reports):
            ended = how_ended(reports)
            again = [self._again(item, nextitem) for _ in range(self._times)]
            attach(item.config, reports, repeats_of(ended, again))
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _again(self, item: pytest.Item, nextitem: pytest.Item | None) -> str:
        return how_ended(self._runner.runtestprotocol(item, log=False, nextitem=nextitem))


def how_ended(reports: Sequence[pytest.TestReport]) -> str:
    """One line for the way a test ended, equal for two runs that ended the same way.

    Empty where it did not fail.
    """
    for report in reports:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            text = crash.message if crash is not None else str(report.longrepr)
            place = f" ({crash.path}:{crash.lineno})" if crash is not None else ""
            return f"{report.when}{place}: {text}"
    return ""


def repeats_of(first: str, again: Sequence[str]) -> Repeats:
    """What the repeats say of a failure that ended in ``first``."""
    return Repeats(
        runs=len(again),
        failed=sum(bool(one) for one in again),
        same=sum(one == first for one in again),
    )


def attach(config: pytest.Config, reports: Sequence[pytest.TestReport], found: Repeats) -> None:
    """Put the repeats into the failed report's text and into the test's record."""
    failed = next(report for report in reports if report.failed)
    failed.sections.append(("repeated", found.describe()))
    last = reports[-1]
    record = recorder.take(last)
    if record is not None:
        recorder.leave(config, last, dataclasses.replace(record, repeats=found))


def register(config: pytest.Config, times: int) -> None:
    """Repeat failed device tests in the processes that run them."""
    runner = config.pluginmanager.get_plugin("runner")
    if times and runner is not None and not workers.is_distributed(config):
        config.pluginmanager.register(Repeating(runner, times))
