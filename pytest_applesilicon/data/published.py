"""Figures that people published of the workloads of ``suites/benchmarks``.

A figure is what its author printed on that machine: it stands beside a result, and is never a
budget. None was measured by this project.
"""

from __future__ import annotations

from pytest_applesilicon import tables
from pytest_applesilicon.records import Published


def figures(workload: str) -> tuple[Published, ...]:
    """What was published of a workload, by its name at full size; ``()`` where nothing was."""
    return tuple(
        Published(
            **{name: row[name] or "" for name in ("value", "unit", "machine", "device")},
            software=row["software"] or "",
            source=row["source"] or "",
            note=row["note"] or "",
        )
        for row in tables.rows("pytest_applesilicon.data", "published.tsv")
        if row["workload"] == workload
    )


def workloads() -> tuple[str, ...]:
    """The names of the workloads of which something was published."""
    found = tables.rows("pytest_applesilicon.data", "published.tsv")
    return tuple(dict.fromkeys(row["workload"] for row in found))
