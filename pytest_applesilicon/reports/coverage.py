"""Operator coverage and agreement of a run, as lines for a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_applesilicon.reports.columns import columns, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.records import OpOutcome, Record

#: Of an operator, the best first.
OUTCOMES = ("native", "fallback", "unsupported", "wrong", "crashed", "hung", "not-run")

#: How many operators the list of the worst agreement shows.
_WORST = 5


def lines(records: Sequence[Record], width: int) -> list[str]:
    """Tables of outcomes by category, framework and device, and who is closest to the limit."""
    found: dict[str, list[OpOutcome]] = {}
    several = len({record.framework for record in records if record.operator is not None}) > 1
    for record in records:
        if record.operator is not None:
            place = record.device or "none"
            place = f"{record.framework} {place}" if several else place
            found.setdefault(place, []).append(record.operator)
    told: list[str] = []
    for device, outcomes in found.items():
        told += ["", *_table(device, outcomes), *_worst(outcomes, width)]
    return told[1:]


def _table(device: str, outcomes: Sequence[OpOutcome]) -> list[str]:
    """Outcomes counted by category, with the columns that are not all zero, and the sum."""
    categories = sorted({one.category for one in outcomes})
    counts: dict[str, Counter[str]] = {
        category: Counter(one.outcome for one in outcomes if one.category == category)
        for category in categories
    }
    shown = [name for name in OUTCOMES if any(count[name] for count in counts.values())]
    total: Counter[str] = Counter(one.outcome for one in outcomes)
    rows = [[f"operators on {device}", *shown]]
    rows += [[name, *(str(count[one]) for one in shown)] for name, count in counts.items()]
    rows.append(["all", *(str(total[one]) for one in shown)])
    return columns(rows, left=1)


def _worst(outcomes: Sequence[OpOutcome], width: int) -> list[str]:
    """The operators whose error came closest to what is allowed."""
    judged = [one for one in outcomes if one.worst_envelope > 0]
    if not judged:
        return []
    judged.sort(key=lambda one: -one.worst_envelope)
    rows = [["closest to the limit", "error / allowed", "ULP"]]
    rows += [
        [
            shorten(f"{one.operator}, {one.direction} in {one.dtype}", max(width - 30, 20)),
            f"{one.worst_envelope:.2f}",
            f"{one.worst_ulp:.3g}",
        ]
        for one in judged[:_WORST]
    ]
    return ["", *columns(rows, left=1)]
