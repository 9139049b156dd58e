"""A report as lines of text for a terminal: what ran where, what was measured."""

from __future__ import annotations

import dataclasses
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.host import describe
from pytest_applesilicon.records import RAN, SIMULATED_NOTICE
from pytest_applesilicon.reports import (
    activity,
    benchmarks,
    budgets,
    coverage,
    ratios,
    regressions,
    samples,
    waits,
)
from pytest_applesilicon.reports.columns import GAP, columns, shorten
from pytest_applesilicon.reports.figures import figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_applesilicon.records import Record, Report, RunFacts, Target

#: Of a test, in the order of the columns.
OUTCOMES = ("passed", "failed", "error", "crashed", "hung", "xfailed", "xpassed", "skipped")

#: In characters: no terminal is narrower, and no name is cut to less.
_LEAST_WIDTH = 20
_LEAST_NAME = 12


def header(facts: RunFacts, host_line: str, width: int) -> list[str]:
    """The lines above a run: settings, host, devices and notes."""
    settings = "; ".join(f"{name} {value}" for name, value in facts.settings.items())
    lines = [
        f"applesilicon {facts.version}: {settings}",
        f"host: {host_line}",
        *(f"device: {_describe(target, facts.versions)}" for target in facts.targets),
        *facts.notes,
    ]
    if facts.simulated:
        lines.append(SIMULATED_NOTICE)
    return [part for line in lines for part in wrap(line, width)]


def faulty(faults: Iterable[Any], width: int) -> list[str]:
    """A line for each fault that is switched on in the simulated device."""
    return [
        part
        for fault in faults
        for part in wrap(f"FAULT switched on: {fault.name}: {fault.reason}", width)
    ]


def _describe(target: Target, versions: dict[str, str]) -> str:
    framework = f"{target.framework} {versions.get(target.framework, '')}".rstrip()
    found = target.health
    remedy = f" (remedy: {found.remedy})" if found.remedy else ""
    return f"{target.device}, {framework}: {found.state}, {found.reason}{remedy}"


def summary(report: Report, width: int) -> list[str]:
    """The lines below a run; ``[]`` where no test of ours was run."""
    records = [_named(record) for record in report.records]
    if not records:
        return []
    width = max(width, _LEAST_WIDTH)
    lines = _outcome_table(records, width)
    tables = (
        coverage.lines(records, width),
        regressions.lines(records, width),
        activity.lines(records, width),
        benchmarks.lines(report.records, width, budgets.words(report.records)),
        waits.lines(report.records, width),
        _measurement_table(records, width),
        _repeated(records, width),
        budgets.lines(records, width),
        ratios.lines(report.records, width),
        _places(report, width),
        samples.lines(report.facts.samples, width),
    )
    for part in tables:
        lines += ["", *part] if part else []
    if report.facts.simulated:
        lines += ["", *wrap(SIMULATED_NOTICE, width)]
    return lines


def _named(record: Record) -> Record:
    """The record with its place in the name of its device, so that every table keeps them apart."""
    if not record.place:
        return record
    device = f"{record.place} {record.device or 'none'}"
    return dataclasses.replace(record, device=device)


def _places(report: Report, width: int) -> list[str]:
    """Each place with its host; and what dropped out, with what it left."""
    lines = []
    for place in report.facts.places:
        count = sum(record.place == place.name for record in report.records)
        python = place.versions.get("python", "")
        text = f"{place.name}: {describe(place.host)}, Python {python}, {count} results"
        if place.lost:
            text = f"{place.name} dropped out ({place.lost}); its {count} results are kept"
        lines += wrap(text, width)
    return lines


def _outcome_table(records: Sequence[Record], width: int) -> list[str]:
    """Outcomes counted by framework and device, with the columns that are not all zero.

    One sentence for each device where the table is too wide.
    """
    places = dict.fromkeys((record.framework, record.device) for record in records)
    counts: dict[tuple[str | None, str | None], Counter[str]] = {
        place: Counter(one.outcome for one in records if (one.framework, one.device) == place)
        for place in places
    }
    shown = [name for name in OUTCOMES if any(count[name] for count in counts.values())]
    rows = [["device", "framework", "tests", *shown]]
    for (framework, device), count in counts.items():
        figures = [str(count[name]) for name in shown]
        rows.append([device or "none", framework or "", str(sum(count.values())), *figures])
    lines = columns(rows, left=2)
    if max(map(len, lines)) <= width:
        return lines
    return [part for row in rows[1:] for part in wrap(_sentence(rows[0], row), width)]


def _sentence(titles: Sequence[str], row: Sequence[str]) -> str:
    counts = (f"{count} {title}" for title, count in zip(titles[2:], row[2:], strict=True))
    return f"{' '.join(row[:2]).rstrip()}: {', '.join(counts)}"


def _measurement_table(records: Sequence[Record], width: int) -> list[str]:
    """Every measurement, as many devices side by side as fit, in the order the tests ran.

    Without those that the table of benchmarks shows.
    """
    values: dict[str, dict[str, str]] = {}
    devices: dict[str, None] = {}
    measured = [record for record in records if record.measurements]
    several = len({record.framework for record in measured if record.framework}) > 1
    for record in measured:
        place = record.device or "host"
        if several and record.framework:
            place = f"{record.framework} {place}"
        for one in record.measurements:
            if one is benchmarks.headline(record):
                continue
            devices[place] = None
            values.setdefault(one.name, {})[place] = figure(one.value, one.unit)
    if not values:
        return []
    figures = [[place, *(row.get(place, "-") for row in values.values())] for place in devices]
    lines: list[str] = []
    for group in _groups(figures, width - _LEAST_NAME):
        room = width - sum(_size(column) for column in group)
        names = [shorten(name, room) for name in ("measured", *values)]
        lines += [""] * bool(lines)
        lines += columns(list(zip(names, *group, strict=True)), left=1)
    return lines


def _repeated(records: Sequence[Record], width: int) -> list[str]:
    """The failed tests that were run again, and whether they are deterministic."""
    found = [(one.test_id, one.repeats) for one in records if one.repeats is not None]
    lines = [line for name, one in found for line in wrap(f"{name}: {one.describe()}", width)]
    return ["failed and repeated", *lines] if lines else []


def _groups(figures: Sequence[Sequence[str]], room: int) -> list[list[list[str]]]:
    """The columns in groups that fit into ``room``; a cell too long for that is shortened."""
    groups: list[list[list[str]]] = [[]]
    for cells in figures:
        column = [shorten(cell, room - len(GAP)) for cell in cells]
        if groups[-1] and sum(map(_size, [*groups[-1], column])) > room:
            groups.append([])
        groups[-1].append(column)
    return groups


def _size(column: Sequence[str]) -> int:
    return max(map(len, column)) + len(GAP)


def wrap(line: str, width: int) -> list[str]:
    """The line broken at spaces, or inside a word that is too long, continued with an indent."""
    return textwrap.wrap(
        line, max(width, _LEAST_WIDTH), subsequent_indent="  ", break_on_hyphens=False
    ) or [""]


def never_ran(targets: Iterable[Target], records: Sequence[Record]) -> list[Target]:
    """The targets that were asked for by name and on which no test was carried out."""
    ran = {(one.framework, one.device) for one in records if one.outcome in RAN}
    return [
        target
        for target in targets
        if target.asked and (target.framework, target.device) not in ran
    ]
