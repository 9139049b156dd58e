"""One test per bug, and per operator that may have the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import settings_of

from .bugs import SIZES
from .registry import Regression, regressions

if TYPE_CHECKING:
    from pytest_applesilicon.options import Settings


#: Seconds after which a call that may end the process counts as hung: the longest takes two
#: seconds on one core.
_TIMEOUT_S = 120


def marks(one: Regression, settings: Settings) -> list[Any]:
    """A test of a larger size than asked for is a visible skip; one that may crash, isolated."""
    if SIZES.index(one.bug.size) > SIZES.index(settings.regression_size):
        reason = f"a test of size {one.bug.size} is run with --regression-size={one.bug.size}"
        return [pytest.mark.skip(reason=reason)]
    return [pytest.mark.isolated(timeout=_TIMEOUT_S)] if one.bug.crashes else []


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise last, so that the device comes first in the ids."""
    if "regression" in metafunc.fixturenames:
        settings = settings_of(metafunc.config)
        metafunc.parametrize(
            "regression",
            [pytest.param(one.name, marks=marks(one, settings)) for one in regressions().values()],
        )
