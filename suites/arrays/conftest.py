"""One test per function and dtype, as --ops, --dtypes and the frameworks in use choose."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pytest_applesilicon import frameworks, settings_of
from pytest_applesilicon.agreement import array_functions, array_namespaces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_applesilicon.agreement.array_functions import Function
    from pytest_applesilicon.options import Settings

#: What stands for a test where none of its frameworks is in use: it is then skipped once.
NONE = [pytest.param(None, None, id="none")]


def frameworks_in_use(settings: Settings, names: Sequence[str]) -> list[str]:
    """Those of a test that this run uses."""
    used = settings.frameworks or (frameworks.first_installed(),)
    return [name for name in used if name in names]


def functions_of(used: Sequence[str], settings: Settings) -> Iterator[Function]:
    """The functions that are asked of any of the frameworks, each once."""
    asked = {id(one) for name in used for one in array_namespaces.functions_for(name)}
    for one in array_functions.FUNCTIONS:
        if id(one) in asked and re.search(settings.ops, one.name):
            yield one


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise last, so that the device comes first in the ids."""
    if "array_function" not in metafunc.fixturenames:
        return
    settings = settings_of(metafunc.config)
    marks = metafunc.definition.iter_markers("frameworks")
    used = frameworks_in_use(settings, [name for mark in marks for name in mark.args])
    takes = metafunc.module.TAKES[metafunc.function.__name__]
    cases = [
        pytest.param(function, dtype, id=f"{dtype}-{array_functions.label(function)}")
        for function in functions_of(used, settings)
        for dtype in function.dtypes
        if dtype in settings.dtypes and takes(function, dtype)
    ]
    metafunc.parametrize(("array_function", "dtype"), cases if used else NONE)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop the placeholder of a test that --ops and --dtypes leave nothing of."""
    empty = [item for item in items if item.name.endswith("NOTSET]")]
    if empty:
        config.hook.pytest_deselected(items=empty)
        items[:] = [item for item in items if item not in empty]
