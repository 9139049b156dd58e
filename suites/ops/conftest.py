"""One test per operator and dtype, as --ops and --dtypes choose."""

from __future__ import annotations

import re

import pytest

from pytest_applesilicon import opinfo, settings_of
from pytest_applesilicon.agreement import random_checks
from pytest_applesilicon.agreement.directions import dtypes_of


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise last, so that the device comes first in the ids."""
    if "random_operator" in metafunc.fixturenames:
        _parametrize_random(metafunc)
    if "operator" not in metafunc.fixturenames:
        return
    settings = settings_of(metafunc.config)
    direction = metafunc.function.__name__.removeprefix("test_")
    cases = [
        pytest.param(operator.name, dtype, id=f"{dtype}-{operator.name}")
        for operator in opinfo.operators()
        if re.search(settings.ops, operator.name)
        for dtype in settings.dtypes
        if dtype in dtypes_of(operator, direction)
    ]
    metafunc.parametrize(("operator", "dtype"), cases)


def _parametrize_random(metafunc: pytest.Metafunc) -> None:
    settings = settings_of(metafunc.config)
    cases = [
        pytest.param(name, dtype, id=f"{dtype}-{name}")
        for name, dtypes in random_checks.names().items()
        if re.search(settings.ops, name)
        for dtype in settings.dtypes
        if dtype in dtypes
    ]
    metafunc.parametrize(("random_operator", "dtype"), cases)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop the placeholder of a direction that no chosen operator has."""
    empty = [item for item in items if item.name.endswith("NOTSET]")]
    if empty:
        config.hook.pytest_deselected(items=empty)
        items[:] = [item for item in items if item not in empty]
