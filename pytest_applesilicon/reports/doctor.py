"""The findings of the doctor as a table, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.doctor.check import Finding

#: Version of the JSON that ``to_json`` writes.
SCHEMA_VERSION = 1


def to_json(findings: Sequence[Finding], host: str) -> str:
    """Every finding, worst first, with the host in one line."""
    listed = [dataclasses.asdict(one) for one in findings]
    return json.dumps(
        {"schema_version": SCHEMA_VERSION, "host": host, "findings": listed}, indent=1
    )


def table(findings: Sequence[Finding], *, everything: bool) -> Any:
    """A rich table of what is wrong, each with its remedy; of what passed too, if asked.

    ``None`` where it would be empty.
    """
    from rich.table import Table
    from rich.text import Text

    shown = [one for one in findings if everything or one.status in ("fail", "warn")]
    if not shown:
        return None
    styles = {"fail": "bold red", "warn": "yellow", "pass": "green", "unknown": "dim"}
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for one in shown:
        text = Text(f"{one.check}: {one.found}")
        if one.remedy:
            text.append(f"\nremedy: {one.remedy}")
        if one.status in ("fail", "warn"):
            text.append(f"\n{one.url}", style="dim")
        grid.add_row(Text(one.status, styles[one.status]), text)
    return grid


def closing(findings: Sequence[Finding]) -> list[str]:
    """What was looked at and what not, with the reasons."""
    count = Counter(one.status for one in findings)
    lines = [f"{count['fail']} failed, {count['warn']} warnings, {count['pass']} passed"]
    reasons = Counter(one.found for one in findings if one.status == "unknown")
    if reasons:
        lines.append(f"not looked at: {count['unknown']}")
        lines += [f"  {number}: {reason}" for reason, number in reasons.most_common()]
    return lines
