"""Random operators: what they draw, by SciPy's tests, and that a seed repeats it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon.agreement import random_checks

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")


def check(direction: str, operator: str, dtype: str, applesilicon: AppleSilicon) -> None:
    """Fail where the operator is wrong, or ends in an outcome of --fail-on."""
    __tracebackhide__ = True
    settings = applesilicon.settings
    device = applesilicon.framework.device(applesilicon.spec)
    found = random_checks.check(
        operator, dtype, device=device, direction=direction, seed=settings.seed
    )
    applesilicon.leave_operator(found)
    assert found.outcome not in settings.fail_on, f"{found.outcome}: {found.reason}"
    if found.outcome == "unsupported":
        pytest.skip(f"{found.outcome}: {found.reason}")


def test_distribution(
    random_operator: str, dtype: str, applesilicon: AppleSilicon, device: Any
) -> None:
    pytest.importorskip(
        "scipy",
        reason="distributions are judged by SciPy: pip install 'pytest-applesilicon[suites]'",
    )
    check("distribution", random_operator, dtype, applesilicon)


def test_reproducible(
    random_operator: str, dtype: str, applesilicon: AppleSilicon, device: Any
) -> None:
    check("reproducible", random_operator, dtype, applesilicon)
