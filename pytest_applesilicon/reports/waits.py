"""Results so short that waiting for the device is a part of them worth knowing."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pytest_applesilicon.reports.figures import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.records import Record

#: The share of a result from which the wait is told.
_WORTH_TELLING = 0.05


def lines(records: Sequence[Record], width: int) -> list[str]:
    """A line for each timed test in which one wait for the device is at least 5 % of a round."""
    found = []
    for record in records:
        timing = record.timing
        if timing is None or not timing.sync_s or not timing.mode:
            continue
        # In latency every call waits; in throughput one wait is shared by the calls of a round.
        calls = timing.iterations if timing.mode == "throughput" else 1
        share = timing.sync_s / (timing.median_s * calls) if timing.median_s else 1.0
        if share >= _WORTH_TELLING:
            text = (
                f"{record.test_id}: {timing.mode} {seconds(timing.median_s)}, of which a wait for "
                f"the idle device takes {seconds(timing.sync_s / calls)}"
            )
            found += textwrap.wrap(text, max(width, 40), subsequent_indent="  ")
    return found
