"""The samples of ``--monitor`` as lines of text, and as a picture (SVG)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.records import Sample

#: From the least to the most; plain characters, which every terminal can show.
_LEVELS = "_.-=+*#@"

_WIDTH, _HEIGHT, _LEFT, _GAP = 800, 120, 90, 30


def series(samples: Sequence[Sample]) -> list[tuple[str, str, list[float]]]:
    """Name, unit and values of everything that was sampled."""
    found = [
        ("memory", "MB", [one.resident_bytes / 2**20 for one in samples]),
        ("CPU", "%", [one.cpu_percent for one in samples]),
    ]
    device = [one.device_bytes for one in samples if one.device_bytes is not None]
    if device:
        filled = [(one.device_bytes or 0) / 2**20 for one in samples]
        found.append(("device memory", "MB", filled))
    return found


def lines(samples: Sequence[Sample], width: int) -> list[str]:
    """One line a series: its course over the run, its least and its most."""
    shown = []
    for worker in dict.fromkeys(one.worker for one in samples):
        own = [one for one in samples if one.worker == worker]
        if len(own) < 2:
            continue
        who = f"{worker} " if worker else ""
        shown.append(f"monitor: {who}{len(own)} samples in {own[-1].at_s:.0f} s")
        for name, unit, values in series(own):
            figures = f"{min(values):.0f} to {max(values):.0f} {unit}"
            room = max(width - 14 - 2 - len(figures), 8)
            shown.append(f"{name:13} {sparkline(values, room)}  {figures}")
    return shown


def sparkline(values: Sequence[float], width: int) -> str:
    """The course of the values in at most ``width`` characters; a character is their most."""
    count = min(width, len(values))
    groups = [
        max(values[len(values) * at // count : len(values) * (at + 1) // count])
        for at in range(count)
    ]
    least, most = min(values), max(values)
    if most == least:
        return _LEVELS[0] * count
    return "".join(
        _LEVELS[round((value - least) / (most - least) * (len(_LEVELS) - 1))] for value in groups
    )


def svg(samples: Sequence[Sample], title: str) -> str:
    """The picture: one panel a series, over the seconds of the run."""
    panels = series(samples)
    height = 40 + len(panels) * (_HEIGHT + _GAP)
    span = max((one.at_s for one in samples), default=0.0) or 1.0
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">'
    )
    parts = [
        head,
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20">{escape(title)}</text>',
    ]
    for index, (name, unit, values) in enumerate(panels):
        top = 40 + index * (_HEIGHT + _GAP)
        most = max(values, default=0.0) or 1.0
        points = " ".join(
            f"{_LEFT + one.at_s / span * (_WIDTH - _LEFT - 10):.1f},"
            f"{top + _HEIGHT * (1 - value / most):.1f}"
            for one, value in zip(samples, values, strict=True)
        )
        bottom = top + _HEIGHT
        parts += [
            f'<polyline points="{points}" fill="none" stroke="#0067b8"/>',
            f'<line x1="{_LEFT}" y1="{bottom}" x2="{_WIDTH - 10}" y2="{bottom}" stroke="#888"/>',
            f'<text x="10" y="{top + 12}">{most:.0f} {unit}</text>',
            f'<text x="10" y="{bottom}">0</text>',
            f'<text x="{_LEFT}" y="{bottom + 16}">{escape(name)}, 0 to {span:.0f} s</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
