"""What became of replayed calls, as lines for a terminal and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import TYPE_CHECKING

from pytest_applesilicon.reports.columns import columns
from pytest_applesilicon.reports.terminal import wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.audit.replaying import Replayed

#: Version of the JSON that ``to_json`` writes.
SCHEMA_VERSION = 1

#: Outcomes in the order in which they are shown; the first four are told one by one.
ORDER = ("wrong", "crashed", "hung", "unsupported", "fallback", "not-run", "native")
_TOLD = ORDER[:4]

#: Operators of an outcome that are shown; the JSON has all.
_SHOWN = 20


def to_json(found: Sequence[Replayed], device: str, faults: str) -> str:
    """Every outcome."""
    listed = [dataclasses.asdict(one) for one in found]
    head = {"schema_version": SCHEMA_VERSION, "device": device, "faults": faults}
    return json.dumps({**head, "outcomes": listed}, indent=1)


def lines(found: Sequence[Replayed], device: str, width: int) -> list[str]:
    """Counts by outcome, then each operator that is not as it should be."""
    counts: Counter[str] = Counter(one.outcome for one in found)
    rows = [(f"outcome on {device}", "signatures", "operators")]
    rows += [
        (name, str(counts[name]), str(len({o.operator for o in found if o.outcome == name})))
        for name in ORDER
        if counts[name]
    ]
    told = columns(rows, left=1)
    for name in _TOLD:
        first: dict[str, Replayed] = {}
        for one in found:
            if one.outcome == name:
                first.setdefault(one.operator, one)
        if first:
            told += ["", f"{name} ({len(first)})"]
        for one in list(first.values())[:_SHOWN]:
            told += wrap(f"  {one.operator} ({', '.join(one.dtypes)}): {one.reason}", width)
            told += [f"    {line}" for line in wrap(f"first in {one.first_test}", width - 4)]
        told += [f"  and {len(first) - _SHOWN} more"] if len(first) > _SHOWN else []
    if device == "mps-sim":
        told += ["", "simulated: the values are the CPU's; nothing ran on MPS"]
    return told


def exit_status(found: Sequence[Replayed]) -> int:
    """1 where a call is wrong, crashed or hung, else 0."""
    return int(any(one.outcome in ("wrong", "crashed", "hung") for one in found))
