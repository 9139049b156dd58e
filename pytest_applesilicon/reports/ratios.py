"""How long the same test took in two places: benchmarks, or else all tests together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_applesilicon.reports import figures
from pytest_applesilicon.reports.columns import GAP, columns, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.records import Record

_LEAST_NAME = 12


def lines(records: Sequence[Record], width: int) -> list[str]:
    """A line for each benchmark that ran in every place, with the ratio to the first place.

    The first place in alphabetical order is the one the others are held against: arm64 before
    x86_64, so that the ratio says how many times longer the translated one takes.
    """
    names = sorted({record.place for record in records if record.place})
    if len(names) < 2:
        return []
    first, *others = names
    rows = [["time per call", *names, *(f"{other}/{first}" for other in others)]]
    rows += [_row(test, seconds, names) for test, seconds in _timed(records, names).items()]
    rows.append(_row("all tests that passed in both", _total(records, names), names))
    room = width - sum(
        max(len(row[at]) for row in rows) + len(GAP) for at in range(1, len(rows[0]))
    )
    shown = [[shorten(row[0], max(room, _LEAST_NAME)), *row[1:]] for row in rows]
    return columns(shown, left=1)


def _row(name: str, seconds: dict[str, float], names: Sequence[str]) -> list[str]:
    first = seconds[names[0]]
    ratios = [f"{seconds[other] / first:.2f}" if first else "-" for other in names[1:]]
    return [name, *(figures.seconds(seconds[each]) for each in names), *ratios]


def _timed(records: Sequence[Record], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Median seconds by test and place, of benchmarks that ran in every place."""
    found: dict[str, dict[str, float]] = {}
    for record in records:
        if record.timing is not None and record.place:
            found.setdefault(record.test_id, {})[record.place] = record.timing.median_s
    return {test: seconds for test, seconds in found.items() if set(seconds) == set(names)}


def _total(records: Sequence[Record], names: Sequence[str]) -> dict[str, float]:
    passed = [
        {
            record.test_id
            for record in records
            if record.place == name and record.outcome == "passed"
        }
        for name in names
    ]
    both = set.intersection(*passed)
    return {
        name: sum(one.duration_s for one in records if one.place == name and one.test_id in both)
        for name in names
    }
