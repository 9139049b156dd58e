"""Operator coverage and agreement, one test per operator, dtype and direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon.agreement import operators

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")


def check(
    direction: str, operator: str, dtype: str, applesilicon: AppleSilicon, device: Any
) -> None:
    """Fail where the operator is wrong, or ends in an outcome of --fail-on."""
    __tracebackhide__ = True
    settings = applesilicon.settings
    found = operators.check(
        operator,
        dtype,
        device=device,
        direction=direction,
        seed=settings.seed,
        count=settings.samples,
    )
    applesilicon.leave_operator(found)
    assert found.outcome not in settings.fail_on, f"{found.outcome}: {found.reason}"
    if found.outcome in ("unsupported", "not-run"):
        pytest.skip(f"{found.outcome}: {found.reason or 'there is no sample'}")


def test_forward(operator: str, dtype: str, applesilicon: AppleSilicon, device: Any) -> None:
    check("forward", operator, dtype, applesilicon, device)


def test_gradient(operator: str, dtype: str, applesilicon: AppleSilicon, device: Any) -> None:
    check("gradient", operator, dtype, applesilicon, device)


def test_inplace(operator: str, dtype: str, applesilicon: AppleSilicon, device: Any) -> None:
    check("inplace", operator, dtype, applesilicon, device)


def test_out(operator: str, dtype: str, applesilicon: AppleSilicon, device: Any) -> None:
    check("out", operator, dtype, applesilicon, device)
