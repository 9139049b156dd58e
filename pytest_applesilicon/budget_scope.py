"""Which budgets a test has, and whether each of them can be held against a test of this run."""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING

from pytest_applesilicon import budgets, known_scope, measuring
from pytest_applesilicon.marks import target_of
from pytest_applesilicon.option_values import OptionError
from pytest_applesilicon.selection import test_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from pytest_applesilicon.budgets import Budget
    from pytest_applesilicon.records import Host

MARKER = "budget"


def of(item: pytest.Item, listed: Sequence[Budget], host: Host) -> tuple[Budget, ...]:
    """The budgets of a test: those of its markers, then those of the file.

    Raises:
        OptionError: the test cannot be held against one of them.
        BudgetError: a marker has an argument that is not accepted.
    """
    name = test_id(item.nodeid, item.path)
    found = (*_marked(item, name, host), *(one for one in listed if one.names(name)))
    if found:
        _check(item, found)
    return found


def _marked(item: pytest.Item, name: str, host: Host) -> list[Budget]:
    found = []
    for mark in item.iter_markers(MARKER):
        where = f"{item.nodeid}: marker {MARKER}"
        if mark.args:
            raise OptionError(f"{where}: {mark.args[0]!r} is not accepted; name every field")
        made = budgets.make(where, name, host, mark.kwargs)
        found.append(dataclasses.replace(made, where=f"marker {MARKER}"))
    return found


def _check(item: pytest.Item, found: Sequence[Budget]) -> None:
    if target_of(item) is None or not measuring.takes_benchmark(item):
        raise OptionError(
            f"{item.nodeid}: {found[0].where}: this test measures nothing on a device of ours; "
            "a budget needs the fixture device_benchmark"
        )
    names = getattr(item, "fixturenames", ())
    regression = next((one for one in found if one.max_regression is not None), None)
    if regression is not None and "device_benchmark" not in names:
        raise OptionError(
            f"{item.nodeid}: {regression.where}: max_regression needs the fixture "
            "device_benchmark, which can measure a second time; this test takes benchmark"
        )


def require_all_matched(
    config: pytest.Config, listed: Sequence[Budget], items: Sequence[pytest.Item]
) -> None:
    """Look for budgets of the file that match no test, though this run would have collected it.

    Raises:
        OptionError: naming the budget and the nearest tests.
    """
    if not listed:
        return
    names = {test_id(item.nodeid, item.path) for item in items}
    files = {item.path for item in items}
    scope = known_scope.Scope(config)
    for one in listed:
        if any(one.names(name) for name in names) or not scope.reaches(one.test, files):
            continue
        near = difflib.get_close_matches(one.test, sorted(names), n=3, cutoff=0.6)
        raise OptionError(
            f"{one.where}: field test: {one.test!r} matches no test"
            + (f"; the nearest: {', '.join(near)}" if near else "")
        )
