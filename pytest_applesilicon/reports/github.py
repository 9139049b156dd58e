"""What GitHub shows of a run: annotations, and which of its variables ask for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_applesilicon.reports.parts import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.records import Record

#: GitHub shows ten errors and ten warnings of a step (docs.github.com, "Workflow commands").
SHOWN = 10

_RED = ("failed", "error", "crashed", "hung", "xpassed")


def commands(records: Sequence[Record], prefix: str) -> list[str]:
    """Workflow commands for the first failed tests, and one that counts the others.

    Args:
        records: Of the run.
        prefix: Path of pytest's root folder below the checkout; empty or with a slash at its end.
    """
    red = [one for one in records if one.outcome in _RED]
    shown = red if len(red) <= SHOWN else red[: SHOWN - 1]
    lines = []
    for one in shown:
        device = f" on {one.device}" if one.device else ""
        simulated = " (simulated)" if one.simulated else ""
        path = prefix + one.nodeid.partition("::")[0]
        title = f"{one.outcome}{device}{simulated}: {one.test_id}"
        where = f"file={_property(path)},title={_property(title)}"
        lines.append(f"::error {where}::{_data(one.reason or one.outcome)}")
    left = len(red) - len(shown)
    return [*lines, f"::error ::and {left} more tests failed; see the summary"] if left else lines


def _data(text: str) -> str:
    """Escaped as actions/toolkit does (packages/core/src/command.ts, escapeData)."""
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escaped as actions/toolkit does (escapeProperty)."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def properties(record: Record) -> list[tuple[str, str]]:
    """The few facts of a test that its JUnit XML gets, as text."""
    if record.device is None:
        return []
    found = [("device", record.device), ("framework", record.framework or "")]
    if record.simulated:
        found.append(("simulated", "true"))
    if record.operator is not None:
        found += [
            ("operator", record.operator.operator),
            ("operator-outcome", record.operator.outcome),
        ]
    found += [
        (f"measured.{one.name}", f"{one.value:g} {one.unit}".rstrip())
        for one in record.measurements
    ]
    return [(f"applesilicon.{name}", visible(value)) for name, value in found]
