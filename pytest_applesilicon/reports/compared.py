"""What differs between runs, as the parts of a page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_applesilicon.records import SIMULATED_NOTICE
from pytest_applesilicon.reports.figures import seconds
from pytest_applesilicon.reports.parts import Column, Figure, Page, Part, Table, Tone, full

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.comparing import Change, Differences

_ORDER = ("lost", "broken", "worse", "missing", "changed", "gained", "fixed", "better", "new")

_TONES: dict[str, Tone] = {
    **dict.fromkeys(("lost", "broken", "worse", "missing", "slower"), "bad"),
    **dict.fromkeys(("gained", "fixed", "better", "faster"), "good"),
    "changed": "warn",
}


def page(found: Sequence[Differences], *, simulated: bool) -> Page:
    """Every pair of runs; the first run is the one the others are held against."""
    parts: list[Part] = []
    for at, one in enumerate(found):
        parts += _parts(one, f"-{at + 1}" if len(found) > 1 else "")
    lead = f"{', '.join(one.after for one in found)} held against {found[0].before}"
    return Page(
        "applesilicon compare", lead, SIMULATED_NOTICE if simulated else "", full(tuple(parts))
    )


def _parts(one: Differences, end: str) -> list[Part]:
    changes = (*one.operators, *one.agreement, *one.tests, *one.budgets)
    kinds = [*(each.kind for each in changes), *(each.verdict for each in one.ratios)]
    figures = [
        Figure(str(kinds.count(name)), name, _TONES.get(name, ""))
        for name in (*_ORDER, "slower", "faster")
        if name in kinds
    ]
    pairs = [f"{a} against {b}" if a != b else a for a, b in one.devices if a != "none"]
    told = f"{one.compared:,} tests are in both runs ({', '.join(pairs)})."
    nothing = () if figures else ("Nothing differs.",)
    names = (one.before, one.after)
    return [
        Part(
            f"differences{end}",
            f"{one.before} and {one.after}",
            (told, *nothing, *one.notes),
            (_facts(one),),
            figures=tuple(figures),
        ),
        Part(f"operators{end}", "Operators", tables=(_changes(one.operators, "operator", names),)),
        Part(
            f"agreement{end}",
            "Agreement",
            ("Largest error in units of what is allowed; above 1 is wrong.",)
            if one.agreement
            else (),
            (_changes(one.agreement, "operator", names),),
        ),
        Part(f"tests{end}", "Tests", tables=(_changes(one.tests, "test", names),)),
        Part(f"budgets{end}", "Budgets", tables=(_changes(one.budgets, "limit", names),)),
        Part(f"times{end}", "Times", tables=(_ratios(one, names),)),
    ]


def _facts(one: Differences) -> Table:
    columns = (Column("what"), Column(one.before), Column(one.after))
    return Table(columns, one.facts, "What the runs were made with")


def _changes(changes: Sequence[Change], what: str, names: tuple[str, str]) -> Table:
    rows = sorted(changes, key=lambda each: (_ORDER.index(each.kind), each.what))
    columns = (
        Column(what, code=True),
        Column("change", choose=True),
        *(Column(name, choose=what == "test") for name in names),
        Column("reason"),
    )

    def states(each: Change) -> tuple[str, str]:
        return each.before, each.after

    cells = tuple(
        (each.what, each.kind, *(one or "not run" for one in states(each)), _first(each.reason))
        for each in rows
    )
    return Table(columns, cells, f"{what.capitalize()}s that changed")


def _first(text: str) -> str:
    """The first line: the others say how to reproduce it."""
    return text.partition("\n")[0]


def _ratios(one: Differences, names: tuple[str, str]) -> Table:
    rows = sorted(one.ratios, key=lambda each: -each.value if math.isfinite(each.value) else 0.0)
    columns = (
        Column("benchmark", code=True),
        *(Column(name, number=True) for name in names),
        Column("ratio", number=True),
        Column("95 % interval", number=True),
        Column("verdict", choose=True),
    )
    cells = tuple(
        (
            each.name,
            seconds(each.before_s),
            seconds(each.after_s),
            f"{each.value:.3f}",
            f"{each.low:.3f} to {each.high:.3f}" if math.isfinite(each.low) else "none",
            each.verdict,
        )
        for each in rows
    )
    return Table(columns, cells, "Median seconds per call")
