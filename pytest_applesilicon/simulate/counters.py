"""What a stretch of a run asked of the simulated device: operators, fallbacks, host syncs."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

#: The folders whose lines are nobody's own: torch, this package and pytest's machinery.
_INSIDE = ("torch", "_pytest", "pluggy")

_HERE = str(Path(__file__).parent.parent)


@dataclass
class Counts:
    """Counts since a point in time; keys are operators, or ``kind at file:line``."""

    operators: dict[str, int] = field(default_factory=dict)
    fallbacks: dict[str, int] = field(default_factory=dict)
    syncs: dict[str, int] = field(default_factory=dict)
    """``item at file.py:12 in step``: the kind, and the line of Python that caused it."""


#: What is counted now. The kernels hold ``current.operators``: it is cleared, never replaced.
current = Counts()
_lock = threading.Lock()


def sync(kind: str) -> None:
    """Note that the host waits for the device, and the line that makes it wait."""
    where = f"{kind} at {_caller()}"
    with _lock:
        current.syncs[where] = current.syncs.get(where, 0) + 1


def fallback(operator: str) -> None:
    """Note that an operator ran on the CPU."""
    with _lock:
        current.fallbacks[operator] = current.fallbacks.get(operator, 0) + 1


def reset() -> None:
    """Begin to count anew."""
    with _lock:
        for counts in (current.operators, current.fallbacks, current.syncs):
            counts.clear()


def snapshot() -> Counts:
    """What was counted so far."""
    with _lock:
        return Counts(dict(current.operators), dict(current.fallbacks), dict(current.syncs))


def since(before: Counts) -> Counts:
    """What was counted after ``before`` was taken."""
    after = snapshot()
    return Counts(
        *(
            {key: count - old.get(key, 0) for key, count in new.items() if count > old.get(key, 0)}
            for old, new in (
                (before.operators, after.operators),
                (before.fallbacks, after.fallbacks),
                (before.syncs, after.syncs),
            )
        )
    )


@contextmanager
def counted() -> Iterator[Counts]:
    """Count while the block runs; the result is filled in when it ends."""
    before, result = snapshot(), Counts()
    try:
        yield result
    finally:
        found = since(before)
        result.operators.update(found.operators)
        result.fallbacks.update(found.fallbacks)
        result.syncs.update(found.syncs)


def _caller() -> str:
    """The innermost line that belongs neither to torch nor to this package."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if not _inside(file):
            return f"{_short(file)}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back
    return "a thread without Python code of its own"


@cache
def _inside(file: str) -> bool:
    if file.startswith(("<", _HERE)):
        return True
    parts = file.replace("\\", "/").split("/")
    return any(
        part in _INSIDE and "site-packages" in parts[:place] for place, part in enumerate(parts)
    )


@cache
def _short(file: str) -> str:
    try:
        return Path(file).relative_to(Path.cwd()).as_posix()
    except ValueError:
        return file
