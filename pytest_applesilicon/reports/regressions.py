"""Which of the reported bugs are present, as lines for a terminal.

A bug is a repository and a number at the start of a parameter of ``suites/regressions``:
``test_regression[mps-pytorch-118115-addcdiv_]``.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from pytest_applesilicon.reports.columns import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.records import Record

#: The id of a test of a reported bug; group 1 is the name of the bug.
TEST = re.compile(r"suites/regressions/\S+::test_regression\[.*?([A-Za-z]+-[0-9]+)(-[^-]*)?\]$")

#: Outcomes in which a bug shows itself.
_PRESENT = frozenset({"failed", "crashed", "hung"})


def lines(records: Sequence[Record], width: int) -> list[str]:
    """How many bugs are present, absent and not looked for; and the names of those present."""
    found: dict[str, dict[str, list[str]]] = {}
    for record in records:
        named = TEST.search(record.test_id)
        if named:
            bugs = found.setdefault(record.device or "none", {})
            bugs.setdefault(named[1], []).append(record.outcome)
    if not found:
        return []
    states = {
        device: {bug: state(outcomes) for bug, outcomes in bugs.items()}
        for device, bugs in found.items()
    }
    rows = [["reported bugs", *states]]
    rows += [
        [name, *(str(list(one.values()).count(name)) for one in states.values())]
        for name in ("present", "absent", "not looked for")
    ]
    told = columns(rows, left=1)
    for device, bugs in found.items():
        present = [
            f"{bug} ({sum(one in _PRESENT for one in outcomes)} of {len(outcomes)})"
            for bug, outcomes in bugs.items()
            if states[device][bug] == "present"
        ]
        if present:
            text = f"present on {device}, with the tests that show it: {', '.join(present)}"
            told += ["", *textwrap.wrap(text, width, subsequent_indent="  ")]
    return told


def state(outcomes: Sequence[str]) -> str:
    """What the outcomes of its tests say of one bug."""
    if any(one in _PRESENT for one in outcomes):
        return "present"
    return "absent" if "passed" in outcomes else "not looked for"
