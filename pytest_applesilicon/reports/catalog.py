"""The answers of ``applesilicon catalog`` as lines of text, and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.catalog.reading import MEANINGS
from pytest_applesilicon.reports.columns import columns
from pytest_applesilicon.reports.terminal import wrap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_applesilicon.catalog.questions import Answer, Difference, Missing
    from pytest_applesilicon.catalog.reading import Catalog

#: Version of the JSON that ``to_json`` writes.
SCHEMA_VERSION = 1


def to_json(catalog: Catalog, **found: Any) -> str:
    """An answer, with the releases that the catalog has."""
    releases = [one.version for one in catalog.releases]
    return json.dumps({"schema_version": SCHEMA_VERSION, "releases": releases, **found}, indent=1)


def releases(catalog: Catalog) -> list[str]:
    """A line for each release."""
    rows = [("torch", "wheel for macOS", "MPS for macOS", "Python", "operators", "overloads")]
    rows += [
        (
            one.version,
            one.wheel_macos,
            one.mps_macos or "-",
            one.python,
            str(one.operators),
            str(one.overloads),
        )
        for one in catalog.releases
    ]
    closing = "operators and overloads with an MPS kernel; read from the macOS wheels, not run"
    return [*columns(rows, left=4), "", closing]


def operator(answer: Answer, width: int) -> list[str]:
    """Since when each overload of an operator runs on MPS, dtypes, and what to use instead."""
    rows = [("overload", "on MPS, by torch release")]
    rows += [
        (name, ", ".join(f"{one.status} since {one.release}" for one in changes) or "-")
        for name, changes in answer.changes.items()
    ]
    told = [
        line
        for name, text in rows
        for line in _hanging(name, max(len(row[0]) for row in rows), text, width)
    ]
    for layout, changes in answer.other_layouts.items():
        text = ", ".join(f"{name} since {release}" for name, release in changes.items())
        told += wrap(f"{layout} tensors: {text}", width)
    statuses = {one.status for changes in answer.changes.values() for one in changes}
    told += ["", *(part for one in MEANINGS if one in statuses for part in wrap(
        f"{one}: {MEANINGS[one]}", width))]  # fmt: skip
    if answer.refused:
        named = f"PyTorch's own tests expect these to fail in torch {answer.release}"
        told += ["", f"dtypes: {named}:"]
        for name, dtypes in answer.refused.items():
            told += wrap(f"  {name}: {', '.join(dtypes)}", width)
    return [*told, *([""] if answer.advice else []), *(
        part for advice in answer.advice for part in wrap(advice, width))]  # fmt: skip


def difference(found: Difference, width: int) -> list[str]:
    """What became native, what stopped to be, and what else changed between two releases."""
    told: list[str] = []
    for (before, after), names in found.changed.items():
        told += [f"{before} -> {after} ({len(names)}):", *_listed(names, width), ""]
    if not told:
        told = ["nothing changed", ""]
    return [f"from torch {found.older} to {found.newer}", "", *told[:-1]]


def missing(found: Missing, width: int) -> list[str]:
    """The operators that have no kernel, and those that always run on the CPU."""
    told = [f"torch {found.release} has no MPS kernel for {len(found.operators)} operators"]
    if found.came:
        told += ["", "a later release has one:"]
        told += columns(
            [(f"  {name}", f"since {release}") for name, release in found.came.items()], left=2
        )
    never = [name for name in found.operators if name not in found.came]
    if never:
        told += ["", "no release in the catalog has one:", *_listed(never, width)]
    if found.fallbacks:
        told += ["", "always on the CPU:", *_listed(found.fallbacks, width)]
    if found.hidden:
        told += ["", f"not shown: {found.hidden} internal operators; --all shows them"]
    return told


def _listed(names: Sequence[str], width: int) -> list[str]:
    return [f"  {line}" for line in wrap(", ".join(names), width - 2)]


def _hanging(name: str, left: int, text: str, width: int) -> list[str]:
    """A name, and a text beside it that wraps under itself; below it where the name is long."""
    if left > width // 2:
        return [name, *(f"  {line}" for line in wrap(text, width - 2))]
    first, *rest = wrap(text, width - left - 2)
    return [f"{name:{left}}  {first}", *(" " * (left + 2) + line for line in rest)]


def changes_as_json(changes: Mapping[str, Sequence[Any]]) -> dict[str, list[dict[str, str]]]:
    """The changes of several overloads as JSON has them."""
    return {
        name: [{"status": one.status, "since": one.release} for one in several]
        for name, several in changes.items()
    }
