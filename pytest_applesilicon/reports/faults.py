"""Faults and what became of them, as tables for a terminal."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pytest_applesilicon.reports.columns import columns, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Described(Protocol):
    """What is told of a fault."""

    @property
    def name(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def op(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def issues(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class FaultOutcome:
    """How a run with one fault ended."""

    fault: str
    outcome: str
    """``caught``, ``not caught``, ``crashed``, ``hung`` or ``error``."""
    by: str = ""
    """The first test that failed, or how the process ended."""
    failed: int = 0
    seconds: float = 0.0

    @property
    def noticed(self) -> bool:
        return self.outcome in ("caught", "crashed", "hung")


def help_lines(faults: Iterable[Described], width: int) -> list[str]:
    """Every fault by family: its name and operators, then the reason and where it is from."""
    lines: list[str] = []
    family = ""
    for fault in faults:
        if fault.family != family:
            family = fault.family
            lines += ["", f"family: {family}"]
        operators = fault.op.replace("aten::", "").replace(",", ", ")
        lines += textwrap.wrap(
            f"{fault.name}: {operators}",
            width,
            initial_indent="  ",
            subsequent_indent="      ",
            break_on_hyphens=False,
        )
        lines += textwrap.wrap(
            f"{fault.reason} ({', '.join(fault.issues)})",
            width,
            initial_indent="    ",
            subsequent_indent="    ",
            break_on_hyphens=False,
        )
    return lines[1:]


def outcome_table(outcomes: Sequence[FaultOutcome], width: int) -> list[str]:
    """One line for each fault, then how many ended how."""
    room = max([len(one.fault) for one in outcomes] + [5])
    rows = [["fault", "outcome", "failed", "first"]]
    for one in outcomes:
        first = shorten(one.by, max(width - room - 24, 12))
        rows.append([one.fault, one.outcome, str(one.failed or ""), first])
    counts: dict[str, int] = {}
    for one in outcomes:
        counts[one.outcome] = counts.get(one.outcome, 0) + 1
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    return [*columns(rows, left=4), "", f"{len(outcomes)} faults: {told}"]
