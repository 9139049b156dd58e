"""Numbers with their units, as every table shows them."""

from __future__ import annotations


def figure(value: float, unit: str) -> str:
    """A number to four significant digits, with its unit."""
    text = f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3e}"
    return f"{text} {unit}".rstrip()


def seconds(value: float) -> str:
    """A time to three significant digits, in s, ms or us."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} us"
