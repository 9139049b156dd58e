"""Text in columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Between two columns.
GAP = "  "


def columns(rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Rows as aligned lines; the first ``left`` columns to the left, the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(size) if at < left else cell.rjust(size)
            for at, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(GAP.join(cells).rstrip())
    return lines


def shorten(text: str, width: int) -> str:
    """The text, or its beginning with an ellipsis, in at most ``width`` characters."""
    return text if len(text) <= width else text[: width - 3] + "..."
