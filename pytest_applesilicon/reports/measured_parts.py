"""What a run measured, as parts of a page: benchmarks, figures, the monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_applesilicon.reports import budgets, charts
from pytest_applesilicon.reports.figures import figure, seconds
from pytest_applesilicon.reports.parts import Column, Figure, Part, Picture, Table, Tone
from pytest_applesilicon.reports.samples import series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.records import Measurement, Record, Sample

#: A picture with more bars than this is not looked at.
_BARS = 24


def benchmarks(records: Sequence[Record]) -> Part:
    """How long each benchmark took."""
    timed = [(one, one.timing) for one in records if one.timing is not None]
    rows = tuple(
        (
            one.test_id,
            _where(one),
            seconds(timing.median_s),
            seconds(timing.min_s),
            seconds(timing.iqr_s),
            str(timing.rounds),
            str(timing.iterations),
        )
        for one, timing in timed
    )
    columns = (
        Column("benchmark", code=True),
        Column("device", choose=True),
        *(
            Column(name, number=True)
            for name in ("median", "min", "IQR", "rounds", "calls a round")
        ),
    )
    return Part(
        "benchmarks",
        "Benchmarks",
        ("Seconds per call, over rounds that were really run.",) if rows else (),
        (Table(columns, rows, "Timings"),),
    )


def verdicts(records: Sequence[Record]) -> Part:
    """What the budgets say, the worst first; how much of each upper limit was used."""
    found = [
        (record, one)
        for state in budgets.STATES
        for record in records
        for one in record.verdicts
        if one.state == state
    ]
    rows = tuple(
        (
            record.test_id,
            _where(record),
            one.limit_name,
            budgets.limit_text(one),
            budgets.value_text(one) + budgets.interval_text(one),
            one.state,
            "; ".join(filter(None, (one.reason, one.where))),
        )
        for record, one in found
    )
    used = [
        (f"{one.limit_name} of {record.test_id}", one.value / one.limit, one.state)
        for record, one in found
        if one.limit_name.startswith("max_") and one.limit and one.value is not None
        if 0 <= one.value < float("inf")
    ][:_BARS]
    picture = Picture(
        charts.bars(used, [1.0] * len(used)),
        "Part of each upper limit that was used; the mark is the limit",
    )
    columns = (
        Column("test", code=True),
        Column("device", choose=True),
        Column("limit", choose=True),
        Column("allowed", number=True),
        Column("measured", number=True),
        Column("verdict", choose=True),
        Column("reason"),
    )
    count = budgets.counts(records)
    tones: dict[str, Tone] = {"exceeded": "bad", "inconclusive": "warn", "met": "good"}
    return Part(
        "budgets",
        "Budgets",
        tables=(Table(columns, rows, "Verdicts"),),
        pictures=(picture,) if used else (),
        figures=tuple(
            Figure(str(count[state]), state, tones.get(state, "warn"))
            for state in budgets.STATES
            if count[state]
        ),
    )


def measurements(records: Sequence[Record]) -> Part:
    """Every figure a test measured; one picture for each unit."""
    found = [(one, each) for one in records for each in one.measurements]
    rows = tuple(
        (each.name, _where(one), figure(each.value, each.unit), _published(each))
        for one, each in found
    )
    columns = (
        Column("measured", code=True),
        Column("device", choose=True),
        Column("value", number=True),
        Column("published by others, as they printed it"),
    )
    pictures = []
    for unit in dict.fromkeys(each.unit for _, each in found):
        drawn = [
            (f"{each.name}, {_where(one)}", each.value, figure(each.value, each.unit))
            for one, each in found
            if each.unit == unit and 0 <= each.value < float("inf")
        ][:_BARS]
        if len(drawn) > 1:
            words = f"Measured in {unit}" if unit else "Measured, without a unit"
            pictures.append(Picture(charts.bars(drawn), words))
    return Part(
        "measured",
        "Measured",
        tables=(Table(columns, rows, "Figures that tests measured"),),
        pictures=tuple(pictures),
    )


def _published(one: Measurement) -> str:
    return "; ".join(
        " ".join(
            filter(
                None,
                (
                    f"{each.value} {each.unit}".rstrip(),
                    f"({each.machine}, {each.device})",
                    each.note,
                ),
            )
        )
        for each in one.published
    )


def monitor(samples: Sequence[Sample]) -> Part:
    """The courses of memory and CPU, one picture for each worker and series."""
    pictures = []
    for worker in dict.fromkeys(one.worker for one in samples):
        own = [one for one in samples if one.worker == worker]
        if len(own) < 2:
            continue
        for name, unit, values in series(own):
            svg = charts.course([one.at_s for one in own], values, unit)
            who = f"{worker}: " if worker else ""
            words = f"{who}{name}, {min(values):.0f} to {max(values):.0f} {unit}"
            pictures.append(Picture(svg, words))
    return Part("monitor", "Memory and CPU over the run", pictures=tuple(pictures))


def _where(record: Record) -> str:
    framework = f"{record.framework} " if record.framework else ""
    return " ".join(filter(None, (record.place, framework + (record.device or "none"))))
