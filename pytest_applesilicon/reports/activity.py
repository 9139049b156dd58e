"""What the tests of a run asked of a simulated device, as lines for a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_applesilicon.reports.columns import columns, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.records import Record

#: How many operators, and how many lines that wait, are shown.
_SHOWN = 10


def lines(records: Sequence[Record], width: int) -> list[str]:
    """Fallbacks by operator, and host synchronisations by line, the most frequent first."""
    told: list[str] = []
    for title, name in (("fallback to the CPU", "fallbacks"), ("host synchronisation", "syncs")):
        calls: Counter[str] = Counter()
        tests: Counter[str] = Counter()
        for record in records:
            if record.activity is not None:
                calls.update(getattr(record.activity, name))
                tests.update(set(getattr(record.activity, name)))
        if calls:
            told += ["", *_table(title, calls, tests, width)]
    return told[1:]


def _table(title: str, calls: Counter[str], tests: Counter[str], width: int) -> list[str]:
    rows = [[title, "calls", "tests"]]
    rows += [
        [shorten(name, max(width - 20, 20)), str(count), str(tests[name])]
        for name, count in calls.most_common(_SHOWN)
    ]
    left = len(calls) - _SHOWN
    if left > 0:
        rest = calls.most_common()[_SHOWN:]
        rows.append([f"and {left} more", str(sum(count for _, count in rest)), ""])
    return columns(rows, left=1)
