"""Benchmarks as a table: a row each, the devices side by side, their ratio, a verdict.

The first figure that a timed test left is what its cell shows, or else its median time. Below
a row stands what others published of the same workload, as they printed it.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_applesilicon.reports.columns import GAP, columns, shorten
from pytest_applesilicon.reports.figures import figure, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_applesilicon.records import Measurement, Published, Record

#: In characters: no name is cut to less.
_LEAST_NAME = 20

#: Units of time in seconds.
_TIMES = {"s": 1.0, "ms": 1e-3, "us": 1e-6}

#: Between the figures of others.
_AND = "; "

_NOT_OURS = "(as their authors printed them; none was measured by this project)"


@dataclass
class _Row:
    """One workload: its name, and its records and verdicts by device."""

    name: str
    places: dict[str, Record] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    @property
    def published(self) -> dict[str, tuple[Published, ...]]:
        """What others published, by the name of our figure: that of the cell, and any other."""
        found: dict[str, dict[Published, None]] = {}
        for record in self.places.values():
            for one in record.measurements:
                if one.published:
                    found.setdefault(one.name, {}).update(dict.fromkeys(one.published))
        return {name: tuple(figures) for name, figures in found.items()}


def headline(record: Record) -> Measurement | None:
    """The figure that the row of a benchmark shows; ``None`` where it shows the time."""
    return record.measurements[0] if record.timing and record.measurements else None


def lines(
    records: Sequence[Record], width: int, verdicts: Mapping[tuple[str, str], str] | None = None
) -> list[str]:
    """The table in at most ``width`` characters; ``[]`` where nothing was timed.

    Args:
        records: of a run, in the order of its tests.
        width: of the terminal.
        verdicts: words for the last column, by test id and place: ``budgets.words``.
    """
    timed = [record for record in records if record.timing is not None]
    if not timed:
        return []
    several = len({record.framework for record in timed if record.framework}) > 1
    places = list(dict.fromkeys(_place(record, several=several) for record in timed))
    base = next((place for place in places if place.endswith("cpu")), places[0])
    rows: dict[str, _Row] = {}
    for record in timed:
        row = rows.setdefault(workload_id(record), _Row(_name(record)))
        place = _place(record, several=several)
        row.places[place] = record
        row.words[place] = (verdicts or {}).get((record.test_id, record.place), "")
    lines: list[str] = []
    for group in _groups(list(rows.values()), places, base, width):
        lines += [""] * bool(lines)
        lines += _table(list(rows.values()), group, base, width)
    return lines + _sources(list(rows.values()), width)


def workload_id(record: Record) -> str:
    """The id of a test without its device: the same for every device it ran on."""
    name, bracket, rest = record.test_id.partition("[")
    if not bracket or record.device is None:
        return record.test_id
    params = f"-{rest.removesuffix(']')}-"
    for token in (f"-{record.framework}-{record.device}-", f"-{record.device}-"):
        if token in params:
            params = params.replace(token, "-", 1)
            break
    inside = params.strip("-")
    return f"{name}[{inside}]" if inside else name


def _name(record: Record) -> str:
    found = headline(record)
    if found is not None:
        return found.name
    return workload_id(record).rpartition("::")[2].removeprefix("test_")


def _place(record: Record, *, several: bool) -> str:
    """The column of a record: its device; of a test that needs none, the host."""
    device = record.device or "host"
    if several and record.framework:
        device = f"{record.framework} {device}"
    return f"{record.place} {device}" if record.place else device


def _cell(record: Record | None) -> str:
    if record is None or record.timing is None:
        return "-"
    found = headline(record)
    return seconds(record.timing.median_s) if found is None else _shown(found)


def _shown(one: Measurement) -> str:
    if one.unit in _TIMES:
        return seconds(one.value * _TIMES[one.unit])
    return figure(one.value, one.unit)


def _ratio(row: _Row, place: str, base: str) -> str:
    """How many times as fast as the base this place is; ``-`` where one of them has no time.

    And where it is simulated: its speed is not Metal's.
    """
    ours, theirs = row.places.get(place), row.places.get(base)
    if ours is None or theirs is None or ours.timing is None or theirs.timing is None:
        return "-"
    if not ours.timing.median_s or ours.simulated or theirs.simulated:
        return "-"
    return f"{theirs.timing.median_s / ours.timing.median_s:.2f}x"


def _column(rows: Sequence[_Row], place: str, base: str) -> list[list[str]]:
    """The columns of a place: its figures, their ratio to the base, and the verdicts."""
    found = [[place, *(_cell(row.places.get(place)) for row in rows)]]
    if place not in (base, "host") and base != "host":
        found.append([f"vs {base}", *(_ratio(row, place, base) for row in rows)])
    words = [row.words.get(place, "") for row in rows]
    if any(words):
        found.append(["verdict", *words])
    return found


def _groups(rows: Sequence[_Row], places: Sequence[str], base: str, width: int) -> list[list[str]]:
    """The places that fit beside each other."""
    groups: list[list[str]] = [[]]
    for place in places:
        sizes = [_size(_column(rows, one, base)) for one in [*groups[-1], place]]
        if groups[-1] and sum(sizes) > width - _LEAST_NAME:
            groups.append([])
        groups[-1].append(place)
    return groups


def _size(found: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) + len(GAP) for column in found)


def _table(rows: Sequence[_Row], places: Sequence[str], base: str, width: int) -> list[str]:
    shown = [row for row in rows if any(place in row.places for place in places)]
    found = [one for place in places for one in _column(shown, place, base)]
    room = max(width - _size(found), _LEAST_NAME)
    names = ["benchmark", *(shorten(row.name, room) for row in shown)]
    table = columns(list(zip(names, *found, strict=True)), left=1)
    lines = table[:1]
    for row, line in zip(shown, table[1:], strict=True):
        lines += [line, *_published(row, places, width)]
    return lines


def _published(row: _Row, places: Sequence[str], width: int) -> list[str]:
    """The figures of others below a row, with ours where the cell does not show its like."""
    ours = [row.places[place] for place in places if place in row.places]
    lines: list[str] = []
    for name, published in row.published.items():
        of = "" if name == row.name else f" of {name}"
        said = _AND.join(describe(one) for one in published)
        here = _here(ours, name, published)
        said += f" (here {here})" if here else ""
        notes = dict.fromkeys(one.note for one in published if one.note)
        said += "".join(f" ({note})" for note in notes)
        lines += textwrap.wrap(
            f"published{of}: {said}",
            max(width, _LEAST_NAME),
            initial_indent="  ",
            subsequent_indent="    ",
            break_on_hyphens=False,
        )
    return lines


def _here(ours: Sequence[Record], name: str, published: Sequence[Published]) -> str:
    """Our figures of this name, or our times where a rate stands in the cell and theirs are times.

    Empty where the cell says it already.
    """
    heads = [one for one in map(headline, ours) if one is not None]
    if all(one.name != name for one in heads):
        found = [one for record in ours for one in record.measurements if one.name == name]
        return ", ".join(_shown(one) for one in found)
    if any(one.unit in _TIMES for one in published) and any(
        one.unit not in _TIMES for one in heads
    ):
        return ", ".join(seconds(one.timing.median_s) for one in ours if one.timing)
    return ""


def describe(one: Published) -> str:
    """``36.28 s Apple M1 Max mps, torch 1.13``."""
    return f"{one.value} {one.unit} {one.machine} {one.device}" + (
        f", {one.software}" if one.software else ""
    )


def _sources(rows: Sequence[_Row], width: int) -> list[str]:
    figures = [one for row in rows for each in row.published.values() for one in each]
    found = dict.fromkeys(one.source for one in figures if one.source)
    if not found:
        return []
    return textwrap.wrap(
        f"published by: {_AND.join(found)} {_NOT_OURS}",
        max(width, _LEAST_NAME),
        subsequent_indent="  ",
        break_on_hyphens=False,
    )
