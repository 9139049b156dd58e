"""What a test asks of the simulated device: counted around its body, and limited."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_applesilicon.frameworks.pytorch import simulating
from pytest_applesilicon.recorder import ACTIVITY
from pytest_applesilicon.records import Activity

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def watched(item: pytest.Item) -> Iterator[None]:
    """Leave with the test what its body asked of the device; nothing where none is simulated."""
    if not simulating():
        yield
        return
    from pytest_applesilicon.simulate import counters

    before = counters.snapshot()
    try:
        yield
    finally:
        counts = counters.since(before)
        if counts.operators or counts.fallbacks or counts.syncs:
            item.stash[ACTIVITY] = Activity(counts.operators, counts.fallbacks, counts.syncs)


def limit_syncs(item: pytest.Item) -> None:
    """Fail a test that waited for the device more often than its marker allows."""
    found = item.stash.get(ACTIVITY, None)
    mark = item.get_closest_marker("max_host_syncs") if found is not None else None
    if mark is None or found is None:
        return
    allowed = mark.args[0] if mark.args else mark.kwargs["n"]
    total = sum(found.syncs.values())
    if total > allowed:
        lines = "\n".join(f"  {count} x {where}" for where, count in found.syncs.items())
        pytest.fail(
            f"max_host_syncs({allowed}): the host waited for the device {total} times:\n{lines}",
            False,
        )
