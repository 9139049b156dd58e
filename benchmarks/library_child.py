"""A pytest plugin for the runs that ``libraries.py`` starts: default device, outcomes, resuming.

``pytest -p library_child --outcomes=FILE [--default-device=mps]`` writes a line of JSON when a
test begins and one when it has ended, so that a process that dies names the test it died in.
Tests that FILE already names are left out: a run goes on behind the test that ended it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What is kept of a failure: characters of its text, and the innermost lines of its traceback.
TEXT, FRAMES = 1500, 6

#: The last line of a traceback in a log.
_ERROR = re.compile(r"[A-Za-z_.]*(Error|Exception): ")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of this plugin."""
    group = parser.getgroup("library runs")
    group.addoption("--outcomes", metavar="FILE", help="Lines of JSON, one an event")
    group.addoption("--default-device", metavar="DEVICE", help="For torch.set_default_device")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Set the default device after the simulated one is installed."""
    place = config.getoption("default_device")
    if place:
        import torch

        torch.set_default_device(place)
    if config.getoption("outcomes"):
        config.pluginmanager.register(Outcomes(Path(config.getoption("outcomes"))))


class Outcomes:
    """Writes what becomes of each test."""

    def __init__(self, path: Path) -> None:
        self._path = path
        known = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._known = {json.loads(line).get("begun") for line in known}
        self._file = path.open("a", encoding="utf-8")
        self._failures: list[dict[str, Any]] = []
        self._outcome = "passed"

    def _write(self, **event: Any) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._write(collected=len(items))
        items[:] = [item for item in items if item.nodeid not in self._known]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(uncollected=report.nodeid, failures=[failure(report)])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._failures, self._outcome = [], "passed"
        self._write(begun=item.nodeid)
        before = _operators()
        result = yield
        self._write(
            ended=item.nodeid,
            outcome="failed" if self._failures else self._outcome,
            failures=self._failures,
            operators=_operators() - before,
        )
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:  # of a subtest too, which has a report of its own
            self._failures.append(failure(report))
        elif report.skipped:
            self._outcome = "xfailed" if hasattr(report, "wasxfail") else "skipped"


def _operators() -> int:
    """How many operators ran on the simulated device so far."""
    from pytest_applesilicon.simulate import counters

    return sum(counters.current.operators.values())


def failure(report: pytest.TestReport | pytest.CollectReport) -> dict[str, Any]:
    """The text of a failure with those it came from, and where it was raised.

    An error that the test caught and logged comes from ``report.caplog``: what follows is often
    its consequence only.
    """
    longrepr: Any = report.longrepr  # plain text where pytest has no traceback
    chain = getattr(longrepr, "chain", None) or []
    texts = [str(crash.message)[:TEXT] for _, crash, _ in reversed(chain) if crash]
    texts = texts or [str(getattr(longrepr, "longrepr", longrepr))[:TEXT]]
    texts += [line[:TEXT] for line in report.caplog.splitlines() if _ERROR.match(line)]
    entries = chain[-1][0].reprentries[-FRAMES:] if chain else []
    return {"text": "\ncaused by: ".join(texts), "frames": [_frame(one) for one in entries]}


def _frame(entry: Any) -> str:
    place = getattr(entry, "reprfileloc", None)
    lines = [line.strip() for line in getattr(entry, "lines", []) if not line.startswith("E")]
    lines = [line for line in lines if line.strip("^~ ")]  # not those that mark a column
    source = lines[-1] if lines else ""
    return f"{place.path}:{place.lineno}: {source}" if place else source
