"""Every operator gives the same, however its inputs are stored: forward, gradient, in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .share import check_form

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")


def test_layout(layout: str, operator: str, applesilicon: AppleSilicon, device: Any) -> None:
    check_form(operator, layout, "forward", applesilicon)


def test_layout_gradient(
    layout: str, operator: str, applesilicon: AppleSilicon, device: Any
) -> None:
    check_form(operator, layout, "gradient", applesilicon)


def test_layout_inplace(
    layout: str, operator: str, applesilicon: AppleSilicon, device: Any
) -> None:
    check_form(operator, layout, "inplace", applesilicon)
