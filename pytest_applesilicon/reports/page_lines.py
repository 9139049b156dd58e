"""A page as lines for a terminal: its tables cut to the width, and to their first rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_applesilicon.reports.columns import GAP, columns, shorten
from pytest_applesilicon.reports.parts import visible
from pytest_applesilicon.reports.terminal import wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.reports.parts import Page, Table

#: How many rows of a table are shown.
_ROWS = 20

#: The least that a column is cut to, in characters.
_LEAST = 7

#: To this size reasons are cut before names are.
_PROSE = 20


def lines(page: Page, width: int) -> list[str]:
    """Everything but the pictures, which are in words."""
    told = wrap(f"{page.title}: {visible(page.lead)}", width)
    told += wrap(visible(page.notice), width) if page.notice else []
    for part in page.parts:
        told += ["", *wrap(visible(part.title), width)]
        counts = ", ".join(f"{one.value} {one.name}" for one in part.figures)
        told += wrap(counts, width) if counts else []
        for sentence in part.sentences:
            told += wrap(visible(sentence), width)
        for table in part.tables:
            if table.rows:
                told += ["", *_table(table, width)]
    return told


def _table(table: Table, width: int) -> list[str]:
    """The first rows; numbers stand to the right of everything else."""
    order = sorted(range(len(table.columns)), key=lambda at: table.columns[at].number)
    used = [at for at in order if any(row[at] for row in table.rows)]
    shown = [[visible(row[at]) for at in used] for row in table.rows[:_ROWS]]
    rows = [[visible(table.columns[at].name) for at in used], *shown]
    code = [table.columns[at].code for at in used]
    sizes = [max(len(row[at]) for row in rows) for at in range(len(used))]
    cut = _fitting(sizes, code, width)
    cells = [[_cut(*each) for each in zip(row, cut, code, strict=True)] for row in rows]
    told = columns(cells, left=sum(not table.columns[at].number for at in used))
    left = len(table.rows) - _ROWS
    return [*told, f"and {left} more"] if left > 0 else told


def _fitting(sizes: Sequence[int], code: Sequence[bool], width: int) -> list[int]:
    """Widths of columns that fit: the widest is cut first, one of names last."""
    cut = list(sizes)
    while sum(cut) + len(GAP) * (len(cut) - 1) > width and max(cut) > _LEAST:
        prose = [
            size if size > _PROSE and not name else 0 for size, name in zip(cut, code, strict=True)
        ]
        most = prose if max(prose) else cut
        cut[most.index(max(most))] -= 1
    return cut


def _cut(text: str, size: int, code: bool) -> str:
    """The end of a name, which tells it from its neighbours; the beginning of everything else."""
    if len(text) <= size or not code:
        return shorten(text, size)
    return "..." + text[len(text) - size + 3 :]
