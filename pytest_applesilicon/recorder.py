"""From a test's reports to its record, and from a worker to the controller.

A record travels under one key of ``user_properties``, on the teardown report alone: properties
arrive with two reports. From a worker it goes as one JSON string, because pytest-xdist cannot
carry a NumPy scalar; where one process runs the tests and reports, as it is. Who reports takes it
off again before JUnit XML is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import workers
from pytest_applesilicon.marks import has_own_device, target_of
from pytest_applesilicon.measuring import MORE_BLOCKS, TIMED, TIMER
from pytest_applesilicon.options import settings_of
from pytest_applesilicon.records import (
    Activity,
    Measurement,
    OpOutcome,
    Record,
    TestOutcome,
    Timing,
    Verdict,
    record_from_json,
    to_json,
)
from pytest_applesilicon.regression import blocks, interval_of_median
from pytest_applesilicon.selection import test_id

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_applesilicon.timing import Timed

PROPERTY = "applesilicon"

#: What a test measured so far, filled by its fixture.
MEASUREMENTS = pytest.StashKey[list[Measurement]]()

#: How the operator of this test did, left by its fixture.
OPERATOR = pytest.StashKey[OpOutcome]()

#: What the body of this test asked of the simulated device.
ACTIVITY = pytest.StashKey[Activity]()

#: What the budgets of this test say of it.
VERDICTS = pytest.StashKey[list[Verdict]]()

#: What the reports of a test have said of it so far: fields of its record.
_KNOWN = pytest.StashKey[dict[str, Any]]()


class Recorder:
    """The records of a run, one per place and test id; a repeated test replaces its record."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Record] = {}

    @property
    def records(self) -> tuple[Record, ...]:
        return tuple(self._records.values())

    def add(self, record: Record) -> None:
        self._records[record.place, record.test_id] = record


def note(item: pytest.Item, report: pytest.TestReport) -> None:
    """Take in one of a test's reports; the teardown report leaves with the record on it."""
    stash = item.stash
    known = stash.get(_KNOWN, None)
    if known is None:
        known = stash[_KNOWN] = {"outcome": "passed", "duration_s": 0.0}
    known["duration_s"] += report.duration
    outcome = _outcome(report)
    if outcome != "passed" and known["outcome"] not in ("failed", "error"):
        known |= {"outcome": outcome, "reason": _reason(report)}
    if report.when == "call":
        known["timing"] = timing_of(item)
    if report.when == "teardown":
        leave(item.config, report, _made(item, known))
        # A test that is run again begins anew.
        stash[MEASUREMENTS] = []
        keys: tuple[pytest.StashKey[Any], ...] = (_KNOWN, OPERATOR, ACTIVITY, VERDICTS)
        for key in keys:
            if key in stash:
                del stash[key]


def _made(item: pytest.Item, known: dict[str, Any]) -> Record:
    """The record of a test: what its reports said, and what its fixtures left."""
    target = target_of(item)
    nodeid = item.nodeid
    activity = item.stash.get(ACTIVITY, None)
    measured = item.stash.get(MEASUREMENTS, None) or []
    verdicts = item.stash.get(VERDICTS, None) or []
    return Record(
        test_id=test_id(nodeid, item.path),
        nodeid=nodeid,
        framework=target.framework if target else None,
        device=target.device if target else None,
        simulated=target.health.simulated if target else bool(activity),
        own_device=has_own_device(item),
        faults=tuple([fault.name for fault in settings_of(item.config).faults]),
        measurements=tuple(measured),
        operator=item.stash.get(OPERATOR, None),
        activity=activity,
        verdicts=tuple(verdicts),
        **known,
    )


def _outcome(report: pytest.TestReport) -> TestOutcome:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "skipped" if report.skipped else "passed"


def _reason(report: pytest.TestReport) -> str:
    """The reason of a skip or an expected failure; the first line of a failure."""
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr or "")
    # The messages of numpy.testing begin with an empty line.
    kind, colon, rest = text.partition("\n")[0].partition(": ")
    if colon and not rest.strip():
        return (
            f"{kind}: {next((line.strip() for line in text.splitlines()[1:] if line.strip()), '')}"
        )
    return text.partition("\n")[0]


def timing_of(item: pytest.Item) -> Timing | None:
    """What pytest-benchmark measured in this test; ``None`` if it did not, or was disabled."""
    benchmark = getattr(item, "funcargs", {}).get("benchmark")
    metadata = getattr(benchmark, "stats", None)
    if metadata is None or not metadata.stats.data:  # the first call may have failed
        return None
    stats = metadata.stats
    timed = item.stash.get(TIMED, None)
    timer = item.stash.get(TIMER, None)
    low_s, high_s = interval_of_median(stats.data)
    return Timing(
        group=str(metadata.group or ""),
        median_s=float(stats.median),
        min_s=float(stats.min),
        iqr_s=float(stats.iqr),
        rounds=int(stats.rounds),
        iterations=int(metadata.iterations),
        mode=timed.mode if timed else "throughput" if timer else "",
        timer=timer.__name__ if timer else "",
        sync_s=timed.sync_s if timed else 0.0,
        first_call_s=timed.first_call_s if timed else 0.0,
        device_s=timed.device_s if timed else None,
        device_peak_bytes=timed.device_peak_bytes if timed else None,
        process_peak_bytes=timed.process_peak_bytes if timed else None,
        low_s=low_s,
        high_s=high_s,
        blocks=_blocks(item, timed, int(metadata.iterations)) if timed else (),
    )


def _blocks(item: pytest.Item, timed: Timed, iterations: int) -> tuple[tuple[float, ...], ...]:
    return (*blocks(timed.rounds, iterations), *item.stash.get(MORE_BLOCKS, ()))


def leave(config: pytest.Config, report: pytest.TestReport, record: Record) -> None:
    """Put a record on a report, as it travels from this process."""
    value: Any = to_json(record) if workers.is_worker(config) else record
    report.user_properties.append((PROPERTY, value))


def take(report: pytest.TestReport) -> Record | None:
    """Take the record off a report, so that nobody prints it."""
    kept: list[tuple[str, object]] = []
    found: Record | None = None
    for name, value in report.user_properties:
        if name == PROPERTY:
            found = value if isinstance(value, Record) else record_from_json(str(value))
        else:
            kept.append((name, value))
    report.user_properties[:] = kept
    return found


def contained(item: pytest.Item, outcome: TestOutcome, reason: str, seconds: float) -> Record:
    """The record of a test that ended its child process."""
    return _made(item, {"outcome": outcome, "reason": reason, "duration_s": seconds})


def crashed(
    nodeid: str, root: Path, reason: str, *, faults: tuple[str, ...] = (), place: str = ""
) -> Record:
    """The record of a test whose worker died."""
    path = root / nodeid.partition("::")[0]
    return Record(
        test_id(nodeid, path), nodeid, "crashed", reason=reason, faults=faults, place=place
    )
