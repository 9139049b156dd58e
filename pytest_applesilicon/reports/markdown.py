r"""A page as Markdown, as GitHub shows it: for a step summary, a comment, a file.

Text that is not code has its markup escaped; names of tests and operators stand in code, where
nothing is markup: a test called ``<img>`` or ``a|b`` or ``@somebody`` is shown, not obeyed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_applesilicon.reports.parts import visible

if TYPE_CHECKING:
    from pytest_applesilicon.reports.parts import Page, Part, Table

#: GitHub refuses a step summary above 1 MiB
#: (docs.github.com, "Workflow commands for GitHub Actions", step isolation and limits).
LONGEST = 1024 * 1024

#: How many rows of a table are shown.
_ROWS = 25

_CELL = 200
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@:])")


def to_markdown(page: Page, *, folded: bool = True, rows: int = _ROWS) -> str:
    """The page; parts that are details only with ``folded``."""
    parts = [part for part in page.parts if folded or not part.folded]
    told = [f"## {_text(page.title)}", "", _text(page.lead), ""]
    if page.notice:
        told += [f"> **{_text(page.notice)}**", ""]
    for part in parts:
        told += _part(part, rows)
    return "\n".join(told).rstrip() + "\n"


def _part(part: Part, rows: int) -> list[str]:
    told = [f"### {_text(part.title)}", ""]
    if part.figures:
        told += [", ".join(f"**{one.value}** {_text(one.name)}" for one in part.figures), ""]
    for sentence in part.sentences:
        told += [_text(sentence), ""]
    for table in part.tables:
        if table.rows:
            told += [*_table(table, rows), ""]
    return told


def _table(table: Table, rows: int) -> list[str]:
    told = [f"**{_text(table.name)}**", ""] if table.name else []
    told.append("| " + " | ".join(_text(one.name) for one in table.columns) + " |")
    told.append("|" + "|".join("--:" if one.number else "---" for one in table.columns) + "|")
    for row in table.rows[:rows]:
        cells = [
            _code(text) if column.code else _linked(text, table.links.get(text, ""))
            for column, text in zip(table.columns, row, strict=True)
        ]
        told.append("| " + " | ".join(cells) + " |")
    left = len(table.rows) - rows
    return [*told, "", f"and {left} more"] if left > 0 else told


def _linked(text: str, address: str) -> str:
    return f"[{_text(text)}]({address})" if address else _text(text)


def _text(text: str) -> str:
    return _MARKUP.sub(r"\\\1", visible(text, _CELL))


def _code(text: str) -> str:
    """The text as code, fenced by more backticks than it has; ``|`` would end the cell."""
    shown = visible(text, _CELL).replace("|", r"\|")
    if not shown.strip():
        return ""
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"
