"""Operators of a run as parts of a page: coverage, agreement, and every row."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from pytest_applesilicon.reports import charts
from pytest_applesilicon.reports.coverage import OUTCOMES
from pytest_applesilicon.reports.parts import Column, Figure, Part, Picture, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.records import OpOutcome, Record

    Placed = tuple[str, OpOutcome]

#: Upper ends of the bins of errors, in units in the last place: 0, then powers of two.
_BINS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0)

#: How many operators the list of the worst agreement shows.
_WORST = 20


def placed(records: Sequence[Record]) -> list[Placed]:
    """Every operator outcome, with the device (and the place) it is of."""
    return [
        (" ".join(filter(None, (record.place, record.device or "none"))), record.operator)
        for record in records
        if record.operator is not None
    ]


def coverage(records: Sequence[Record]) -> Part:
    """Outcomes by category; what is native by category and dtype; every row."""
    found = placed(records)
    if not found:
        return Part("operators", "Operators")
    counts: Counter[str] = Counter(one.outcome for _, one in found)
    native = counts["native"]
    ran = len(found) - counts["not-run"]
    figures = [Figure(f"{native:,}", f"native of {ran:,} that ran", "good" if native else "")]
    figures += [
        Figure(f"{counts[name]:,}", name, "bad" if name in ("wrong", "crashed", "hung") else "warn")
        for name in OUTCOMES[1:-1]
        if counts[name]
    ]
    return Part(
        "operators",
        "Operators",
        ("A fallback ran on the CPU and is never counted as native.",),
        (_by_category(found), _by_dtype(found), _rows(found)),
        figures=tuple(figures),
    )


def agreement(records: Sequence[Record]) -> Part:
    """The errors of what agrees, in units in the last place, and who came closest to the limit."""
    judged = [(device, one) for device, one in placed(records) if one.worst_envelope > 0]
    floating = [one for _, one in placed(records) if one.outcome == "native" and one.samples]
    if not judged:
        return Part("agreement", "Agreement")
    names = ["0", *(f"{end:g}" for end in _BINS[1:]), "more"]
    counts = [0] * len(names)
    for one in floating:
        counts[_bin(one.worst_ulp)] += 1
    judged.sort(key=lambda pair: -pair[1].worst_envelope)
    rows = tuple(
        (one.operator, one.direction, one.dtype, device, f"{one.worst_envelope:.3f}", _ulp(one))
        for device, one in judged[:_WORST]
    )
    columns = (
        Column("operator", code=True),
        Column("direction"),
        Column("dtype"),
        Column("device"),
        Column("error / allowed", number=True),
        Column("ULP", number=True),
    )
    words = "Largest error of each operator, dtype and direction that agrees, up to so many ULP: "
    words += ", ".join(f"{name}: {count}" for name, count in zip(names, counts, strict=True))
    return Part(
        "agreement",
        "Agreement with the float64 oracle",
        ("An error is held against what is allowed around the float64 result; above 1 is wrong.",),
        (Table(columns, rows, "Closest to the limit"),),
        (Picture(charts.histogram(names, counts), words),),
    )


def _bin(ulp: float) -> int:
    if math.isnan(ulp):
        return len(_BINS)
    return next((at for at, end in enumerate(_BINS) if ulp <= end), len(_BINS))


def _ulp(one: OpOutcome) -> str:
    return f"{one.worst_ulp:.3g}" if one.worst_ulp else ""


def _by_category(found: Sequence[Placed]) -> Table:
    counts: dict[tuple[str, str], Counter[str]] = {}
    for device, one in found:
        counts.setdefault((device, one.category), Counter())[one.outcome] += 1
    shown = [name for name in OUTCOMES if any(count[name] for count in counts.values())]
    rows = tuple(
        (category, device, *(str(count[name]) for name in shown))
        for (device, category), count in sorted(counts.items())
    )
    columns = (Column("category"), Column("device"), *(Column(one, number=True) for one in shown))
    return Table(columns, rows, "Outcomes by category")


def _by_dtype(found: Sequence[Placed]) -> Table:
    """``native/ran`` for each category and dtype."""
    dtypes = list(dict.fromkeys(one.dtype for _, one in found))
    ran: Counter[tuple[str, str]] = Counter()
    native: Counter[tuple[str, str]] = Counter()
    for _, one in found:
        if one.outcome != "not-run":
            ran[one.category, one.dtype] += 1
            native[one.category, one.dtype] += one.outcome == "native"
    rows = tuple(
        (category, *(_share(native[category, one], ran[category, one]) for one in dtypes))
        for category in sorted({one.category for _, one in found})
    )
    columns = (Column("category"), *(Column(name, number=True) for name in dtypes))
    return Table(columns, rows, "Native of those that ran, by category and dtype")


def _share(native: int, ran: int) -> str:
    return f"{native}/{ran}" if ran else ""


def _rows(found: Sequence[Placed]) -> Table:
    several = len({device for device, _ in found}) > 1
    columns = (
        Column("operator", code=True),
        Column("category", choose=True),
        Column("dtype", choose=True),
        Column("direction", choose=True),
        *((Column("device", choose=True),) if several else ()),
        Column("outcome", choose=True),
        Column("error / allowed", number=True),
        Column("ULP", number=True),
        Column("reason"),
    )
    worst_first = sorted(found, key=lambda pair: _RANK.get(pair[1].outcome, 0))
    rows = tuple(
        (
            one.operator,
            one.category,
            one.dtype,
            one.direction,
            *((device,) if several else ()),
            one.outcome,
            f"{one.worst_envelope:.3g}" if one.worst_envelope else "",
            _ulp(one),
            one.reason,
        )
        for device, one in worst_first
    )
    return Table(columns, rows, "Every operator, dtype and direction")


_RANK = {
    name: at for at, name in enumerate(("wrong", "crashed", "hung", "unsupported", "fallback"), -5)
}
