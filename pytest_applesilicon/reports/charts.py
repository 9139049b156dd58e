"""Pictures from data, as SVG: bars, a histogram, courses over time.

Colours are classes and ``currentColor``, so that a page can be dark; every text is escaped.
The size is a view box: a picture shrinks with its page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from pytest_applesilicon.reports.parts import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH = 640
_BAR, _GAP = 18, 8


def bars(rows: Sequence[tuple[str, float, str]], marks: Sequence[float | None] = ()) -> str:
    """One bar a row (name, value, text of the value), with a mark where it has a limit."""
    marks = marks or [None] * len(rows)
    most = max([value for _, value, _ in rows] + [one for one in marks if one], default=0) or 1.0
    parts = []
    for at, ((name, value, text), mark) in enumerate(zip(rows, marks, strict=True)):
        top = at * (_BAR * 2 + _GAP)
        size = max(_WIDTH * value / most, 1.0)
        parts += [
            _text(0, top + 13, name),
            _text(_WIDTH, top + 13, text, end=True),
            _bar(0, top + _BAR, size, _BAR - 4),
        ]
        if mark is not None:
            x = min(_WIDTH * mark / most, _WIDTH - 2)
            parts.append(
                f'<rect class="mark" x="{x:.1f}" y="{top + 15}" width="2" height="{_BAR + 2}"/>'
            )
    return _svg(len(rows) * (_BAR * 2 + _GAP), parts)


def histogram(names: Sequence[str], counts: Sequence[int]) -> str:
    """One column for each name, its count above it."""
    most = max(counts, default=0) or 1
    step = _WIDTH / max(len(counts), 1)
    parts = []
    for at, (name, count) in enumerate(zip(names, counts, strict=True)):
        high = 120 * count / most
        x = at * step
        parts += [
            _bar(x + 2, 140 - high, step - 4, high),
            _text(x + step / 2, 134 - high, str(count), middle=True),
            _text(x + step / 2, 156, name, middle=True),
        ]
    return _svg(162, parts)


def course(seconds: Sequence[float], values: Sequence[float], unit: str) -> str:
    """The course of the values over the seconds, from 0 up."""
    span = max(seconds, default=0.0) or 1.0
    most = max(values, default=0.0) or 1.0
    left = 90
    points = " ".join(
        f"{left + at / span * (_WIDTH - left):.1f},{110 - 100 * value / most:.1f}"
        for at, value in zip(seconds, values, strict=True)
    )
    return _svg(
        132,
        [
            f'<line class="axis" x1="{left}" y1="110" x2="{_WIDTH}" y2="110"/>',
            f'<polyline class="course" points="{points}"/>',
            _text(0, 18, f"{most:.0f} {unit}"),
            _text(0, 112, f"0 {unit}"),
            _text(left, 128, "0 s"),
            _text(_WIDTH, 128, f"{span:.0f} s", end=True),
        ],
    )


def _text(x: float, y: float, text: str, *, end: bool = False, middle: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ' text-anchor="middle"' if middle else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{anchor}>{escape(visible(text, 70))}</text>'


def _bar(x: float, y: float, width: float, height: float) -> str:
    size = f'width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" {size}/>'


def _svg(height: float, parts: Sequence[str]) -> str:
    # Hidden from screen readers: the caption and the table beside it say the same in words.
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" aria-hidden="true" focusable="false">'
        + "".join(parts)
        + "</svg>"
    )
