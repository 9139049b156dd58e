"""What the budgets of a run say, as lines of text."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from pytest_applesilicon.reports.columns import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.records import Record, Verdict

STATES = ("exceeded", "inconclusive", "not-enforced", "met")

_LEAST_WIDTH = 40


def counts(records: Sequence[Record]) -> Counter[str]:
    """How many verdicts there are of each state."""
    return Counter(one.state for record in records for one in record.verdicts)


def lines(records: Sequence[Record], width: int) -> list[str]:
    """Every verdict with its interval, the worst first; ``[]`` where there are no budgets."""
    found = [(record, one) for record in records for one in record.verdicts]
    if not found:
        return []
    count = counts(records)
    width = max(width, _LEAST_WIDTH)
    shown = [f"budgets: {', '.join(f'{count[state]} {state}' for state in STATES)}"]
    for state in STATES:
        for record, one in found:
            if one.state == state and state != "not-enforced":
                shown += _lines_of(record, one, width)
        if state == "not-enforced":
            shown += _not_enforced(found, width)
    return shown


def words(records: Sequence[Record]) -> dict[tuple[str, str], str]:
    """The worst verdict of each test that has one, by test id and place."""
    return {
        (record.test_id, record.place): next(
            state for state in STATES if any(one.state == state for one in record.verdicts)
        )
        for record in records
        if record.verdicts
    }


def announcement(records: Sequence[Record]) -> str:
    """``3 budgets not enforced (xdist)``; empty where every budget was."""
    reasons = Counter(
        one.reason.partition(":")[0] if one.reason.startswith("xdist") else one.reason
        for record in records
        for one in record.verdicts
        if one.state == "not-enforced"
    )
    total = sum(reasons.values())
    if not total:
        return ""
    why = next(iter(reasons)) if len(reasons) == 1 else f"{len(reasons)} reasons, above"
    return f"{total} budget{'s' * (total != 1)} not enforced ({why})"


def _lines_of(record: Record, one: Verdict, width: int) -> list[str]:
    measured = value_text(one) + interval_text(one)
    figures = f"{one.state:<12}  {one.limit_name} {limit_text(one)}: {measured}"
    text = [*textwrap.wrap(figures, width, subsequent_indent=" " * 14)]
    text.append(" " * 14 + shorten(record.test_id, width - 14))
    if one.reason:
        text += textwrap.wrap(
            one.reason, width, initial_indent=" " * 14, subsequent_indent=" " * 14
        )
    return text


def _not_enforced(found: Sequence[tuple[Record, Verdict]], width: int) -> list[str]:
    """One entry for each reason, with the tests it holds for."""
    groups: dict[tuple[str, str], list[str]] = {}
    for record, one in found:
        if one.state == "not-enforced":
            groups.setdefault((one.limit_name, one.reason), []).append(record.test_id)
    shown: list[str] = []
    for (name, reason), tests in groups.items():
        text = f"{'not-enforced':<12}  {name}: {reason}"
        shown += textwrap.wrap(text, width, subsequent_indent=" " * 14)
        shown += [" " * 14 + shorten(test, width - 14) for test in tests]
    return shown


def limit_text(one: Verdict) -> str:
    """The limit as people write it."""
    if one.limit is None:
        return ""
    if one.limit_name == "max_regression":
        return f"+{one.limit:.0%}"
    if one.limit_name == "min_fraction_of_peak":
        return f"{one.limit:.0%}"
    return f"{one.limit:g} {one.unit}"


def value_text(one: Verdict) -> str:
    """What was measured."""
    return "-" if one.value is None else _figure(one, one.value)


def interval_text(one: Verdict) -> str:
    """The interval of what was measured; empty where there is none."""
    if one.low is None or one.high is None or one.low == one.high:
        return ""
    return f" [{_figure(one, one.low)} to {_figure(one, one.high)}]"


def _figure(one: Verdict, value: float) -> str:
    if one.limit_name == "max_regression":
        return f"{value:+.1%}"
    if one.limit_name == "min_fraction_of_peak":
        return f"{value:.1%}"
    return f"{value:.4g}"
